import test from "ava";
import { createExits, exitStatus, type ProcessExit } from "./exits.ts";

test("a status of wait(2) as shells count it", (t) => {
  t.is(exitStatus(0), 0);
  t.is(exitStatus(7 << 8), 7);
  t.is(exitStatus(255 << 8), 255);
  t.is(exitStatus(9), 137);
  t.is(exitStatus(11 | 0x80), 139, "with a core dump");
  t.is(exitStatus(64), 192, "the last real-time signal");
});

test("an exit is delivered once, whether it comes before or after it is claimed", (t) => {
  const exits = createExits();
  const seen: [number, number][] = [];
  const listener =
    (pid: number) =>
    ({ status }: ProcessExit): void => {
      seen.push([pid, status]);
    };
  const expectation = exits.expect();
  exits.ended(10, 1 << 8);
  expectation.claim(10, listener(10));
  t.deepEqual(seen, [[10, 1]]);
  expectation.claim(11, listener(11));
  expectation[Symbol.dispose]();
  exits.ended(11, 9);
  exits.ended(11, 9);
  t.deepEqual(seen, [
    [10, 1],
    [11, 137],
  ]);
});

test("what nobody expects is forgotten, so that a pid that is used again tells nothing old", (t) => {
  const exits = createExits();
  exits.ended(20, 3 << 8);
  const first = exits.expect();
  const second = exits.expect();
  exits.ended(21, 4 << 8);
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  const seen: number[] = [];
  second.claim(21, ({ status }) => seen.push(status));
  exits.ended(22, 5 << 8);
  second[Symbol.dispose]();
  const third = exits.expect();
  for (const pid of [20, 22]) third.claim(pid, () => t.fail("an exit of an earlier process"));
  t.deepEqual(seen, [4]);
});
