import test from "ava";
import { compare, tally } from "./comparison.ts";
import type { SpecResult } from "./ginkgo-report.ts";

const spec = (name: string, state: SpecResult["state"]): SpecResult => {
  return { name, state, seconds: 1, message: "" };
};

test("a tally counts and names", (t) => {
  const results = [spec("a", "passed"), spec("b", "failed"), spec("c", "skipped"), spec("d", "failed")];
  t.deepEqual(tally(results), { passed: 1, failed: 2, skipped: 1, failed_names: ["b", "d"] });
});

test("what passes with the yardstick must pass, or be left out with a reason", (t) => {
  const yardstick = ["good", "fails", "left out", "silent", "gone"].map((name) => spec(name, "passed"));
  const results = [
    spec("good", "passed"),
    spec("fails", "failed"),
    spec("left out", "skipped"),
    spec("silent", "skipped"),
  ];
  const skips = [{ handler: "tapir", pattern: /^left/, reason: "a VM" }];
  const { worse, leftOut, both } = compare(yardstick, results, skips);
  t.deepEqual(
    worse.map(({ name }) => name),
    ["fails", "silent", "gone"],
  );
  t.deepEqual(leftOut, [{ name: "left out", reason: "a VM" }]);
  t.deepEqual(both, []);
});

test("a reason does not excuse a spec that ran and failed", (t) => {
  const skips = [{ handler: "tapir", pattern: /^x$/, reason: "a VM" }];
  const { worse } = compare([spec("x", "passed")], [spec("x", "failed")], skips);
  t.is(worse.length, 1);
});

test("what fails or is skipped with the yardstick is no difference, unless it fails here alone", (t) => {
  const yardstick = [spec("broken", "failed"), spec("off", "skipped"), spec("odd", "skipped")];
  const results = [spec("broken", "failed"), spec("off", "skipped"), spec("odd", "failed")];
  const { worse, both } = compare(yardstick, results, []);
  t.deepEqual(
    worse.map(({ name }) => name),
    ["odd"],
  );
  t.deepEqual(
    both.map(({ name }) => name),
    ["broken"],
  );
});
