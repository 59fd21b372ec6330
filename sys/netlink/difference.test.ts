import test from "ava";
import { difference } from "./difference.ts";

const diff = (current: string[], wanted: string[]) =>
  difference(
    current,
    wanted,
    (item) => item.charAt(0),
    (a, b) => a === b,
  );

test("nothing to do", (t) => {
  t.deepEqual(diff([], []), { gone: [], added: [], changed: [] });
  t.deepEqual(diff(["a1", "b1"], ["b1", "a1"]), { gone: [], added: [], changed: [] });
});

test("gone, added and changed keep their order", (t) => {
  t.deepEqual(diff(["a1", "b1", "c1", "d1"], ["x1", "c2", "a2", "w1"]), {
    gone: ["b1", "d1"],
    added: ["x1", "w1"],
    changed: [
      { from: "c1", to: "c2" },
      { from: "a1", to: "a2" },
    ],
  });
});

test("of two wanted with one key the last counts", (t) => {
  t.deepEqual(diff([], ["a1", "a2"]).added, ["a2"]);
});
