import test from "ava";
import { deadlineIn } from "./deadline.ts";
import { TapirError } from "./error.ts";
import { Code } from "./status.ts";

test("names the job when the time is up", async (t) => {
  const deadline = deadlineIn(20, "start sandbox a");
  // The deadline's own timer does not keep the process alive; this one does.
  const busy = setTimeout(() => undefined, 1000);
  t.teardown(() => clearTimeout(busy));
  const error = await t.throwsAsync(deadline.race(new Promise(() => undefined)), { instanceOf: TapirError });
  t.is(error.code, Code.DEADLINE_EXCEEDED);
  t.is(error.message, "cannot finish start sandbox a: not done within 20 ms");
  t.is(deadline.remainingMs(), 0);
});

test("a part never outlives the whole", (t) => {
  const whole = deadlineIn(1000, "whole");
  t.true(whole.within(5000, "part").remainingMs() <= 1000);
});

test("the parent's abort ends it with the parent's reason", async (t) => {
  const parent = new AbortController();
  const deadline = deadlineIn(10_000, "job", parent.signal);
  const waiting = deadline.race(new Promise(() => undefined));
  parent.abort(new Error("caller went away"));
  await t.throwsAsync(waiting, { message: "caller went away" });
});

test("what is over before anybody waits is over for whoever asks then, and for its parts", (t) => {
  const parent = new AbortController();
  const whole = deadlineIn(10_000, "job", parent.signal);
  const part = whole.within(5000, "part");
  parent.abort(new Error("caller went away"));
  t.is(part.remainingMs(), 0);
  t.throws(() => part.signal.throwIfAborted(), { message: "caller went away" });
  t.throws(() => deadlineIn(0, "late").signal.throwIfAborted(), { message: /finish late/ });
});

test("work that is done in time wins, and work that fails keeps its error", async (t) => {
  const deadline = deadlineIn(10_000, "job");
  t.is(await deadline.race(Promise.resolve(7)), 7);
  await t.throwsAsync(deadline.race(Promise.reject(new Error("no"))), { message: "no" });
});

test("who gave up above called it off; the end of its own time did not", async (t) => {
  const parent = new AbortController();
  const whole = deadlineIn(10_000, "job", parent.signal);
  const [late, part] = [whole.within(0, "late"), whole.within(5000, "part").within(4000, "part of it")];
  t.true(late.signal.aborted);
  t.false(late.calledOff());
  t.false(part.calledOff());
  parent.abort(new Error("caller went away"));
  t.true(part.calledOff());
  t.true(late.within(1, "part of what is late").calledOff());
});
