import test from "ava";
import { deadlineIn } from "../../sys/deadline.ts";
import { inParallel } from "./parallel.ts";

const soon = () => deadlineIn(60_000, "test");

test("no more than the limit at once, the others in their order", async (t) => {
  const turn = inParallel(2);
  const order: number[] = [];
  const opens = Array.from({ length: 5 }, () => Promise.withResolvers<void>());
  const jobs = opens.map(({ promise }, at) =>
    turn(async () => {
      order.push(at);
      await promise;
      return at;
    }, soon()),
  );
  await new Promise(setImmediate);
  t.deepEqual(order, [0, 1]);
  opens[1]?.resolve();
  await jobs[1];
  await new Promise(setImmediate);
  t.deepEqual(order, [0, 1, 2]);
  for (const { resolve } of opens) resolve();
  t.deepEqual(await Promise.all(jobs), [0, 1, 2, 3, 4]);
  t.deepEqual(order, [0, 1, 2, 3, 4]);
});

test("who gives up while waiting costs nobody a turn; a failing job frees its own", async (t) => {
  const turn = inParallel(1);
  const first = Promise.withResolvers<void>();
  const running = turn(() => first.promise, soon());
  // A deadline's timer does not keep the test alive.
  const awake = setTimeout(() => undefined, 1000);
  t.teardown(() => clearTimeout(awake));
  const gaveUp = turn(async () => t.fail(), deadlineIn(10, "wait"));
  const last = turn(async () => {
    throw new Error("failed");
  }, soon());
  await t.throwsAsync(gaveUp, { message: /not done within/ });
  first.resolve();
  await running;
  await t.throwsAsync(last, { message: "failed" });
  t.is(await turn(async () => 7, soon()), 7);
});
