import test from "ava";
import { gateFor } from "./gate.ts";

test("as many as there are places go in; the next when one leaves, however often it says so", async (t) => {
  const gate = gateFor(2);
  const leave = await gate.enter();
  await gate.enter();
  const inside: string[] = [];
  const third = gate.enter().then(() => inside.push("third"));
  void gate.enter().then(() => inside.push("fourth"));
  await Promise.resolve();
  t.deepEqual(inside, []);
  leave();
  leave();
  await third;
  await new Promise((resolve) => setImmediate(resolve));
  t.deepEqual(inside, ["third"]);
});
