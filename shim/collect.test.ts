import { setTimeout as pause } from "node:timers/promises";
import test from "ava";
import { collectWhenQuiet } from "./collect.ts";

const QUIET_MS = 200;

test.serial("what a start left is collected once, when nobody has asked for a while", async (t) => {
  const collected: unknown[] = [];
  const own = globalThis.gc;
  globalThis.gc = ((how: unknown) => void collected.push(how)) as NodeJS.GCFunction;
  t.teardown(() => {
    globalThis.gc = own;
  });
  const asked = collectWhenQuiet(QUIET_MS);
  // Each question puts it off: together they take longer than the quiet that is waited for.
  let longestPause = 0;
  for (let time = 0; time < 20; time++) {
    asked();
    const before = performance.now();
    await pause(QUIET_MS / 10);
    longestPause = Math.max(longestPause, performance.now() - before);
  }
  // A busy machine may have been quiet without us.
  t.true(collected.length === 0 || longestPause >= QUIET_MS);
  const deadline = performance.now() + 20_000;
  while (collected.length === 0 && performance.now() < deadline) await pause(10);
  asked();
  await pause(2 * QUIET_MS);
  t.deepEqual(collected, [{ type: "major", execution: "sync", flavor: "last-resort" }]);
});

test.serial("a Node that does not let us collect is left alone", async (t) => {
  collectWhenQuiet(1)();
  await pause(100);
  t.pass();
});
