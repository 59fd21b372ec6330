import test from "ava";
import { clockAhead } from "./become.ts";

const MS = 1_000_000n;
const NOON = 1_800_000_000_000n * MS;

test("the wall clock is what is known of the guest's own, but not before the request was made", (t) => {
  // It was restored at noon, when its clock read 5 s; 100 ms later the request was made, which took 20 ms.
  const known = { unixTimeNanoseconds: NOON, monotonicNanoseconds: 5000n * MS };
  const made = { madeUnixTimeNanoseconds: NOON + 100n * MS };
  const right = NOON - 5000n * MS;
  t.is(clockAhead({ ...known, ...made }, 5120n * MS), right);
  // What it read was taken for 80 ms more: then the way of the request is all that it is wrong by.
  const late = { ...known, monotonicNanoseconds: 5080n * MS };
  t.is(clockAhead({ ...late, ...made }, 5120n * MS), right - 20n * MS);
  t.is(clockAhead({ ...late, madeUnixTimeNanoseconds: 0n }, 5120n * MS), right - 80n * MS);
});

test("a guest that was booted: the request's time is that at which it came in", (t) => {
  const request = {
    unixTimeNanoseconds: NOON,
    monotonicNanoseconds: undefined,
    madeUnixTimeNanoseconds: NOON,
  };
  t.is(clockAhead(request, 7000n * MS), NOON - 7000n * MS);
});
