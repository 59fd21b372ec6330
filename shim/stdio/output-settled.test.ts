import { setTimeout as pause } from "node:timers/promises";
import test from "ava";
import { deadlineIn } from "../../sys/deadline.ts";
import { outputSettled } from "./output-settled.ts";

const STILL_MS = 20;
const LONG_MS = 60_000;

function fakePump(waitsForReader: boolean) {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { drained: promise, drain: resolve, moved: 0, waitsForReader };
}

test("a guest that takes its time is waited for", async (t) => {
  const pump = fakePump(false);
  let settled = false;
  const waiting = outputSettled(pump, deadlineIn(LONG_MS, "wait"), STILL_MS).then(() => {
    settled = true;
  });
  await pause(5 * STILL_MS);
  t.false(settled);
  pump.drain();
  await waiting;
  t.pass();
});

test("a reader that takes nothing is given up, one that takes something is not", async (t) => {
  const pump = fakePump(true);
  const reading = setInterval(() => pump.moved++, STILL_MS / 4);
  let settled = false;
  const waiting = outputSettled(pump, deadlineIn(LONG_MS, "wait"), STILL_MS).then(() => {
    settled = true;
  });
  await pause(5 * STILL_MS);
  t.false(settled);
  clearInterval(reading);
  await waiting;
  t.pass();
});

test("a guest that never answers is given up at the deadline", async (t) => {
  await outputSettled(fakePump(false), deadlineIn(3 * STILL_MS, "wait"), STILL_MS);
  t.pass();
});
