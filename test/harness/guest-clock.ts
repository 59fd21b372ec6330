import type { ExecutionContext } from "ava";

/** How far a guest's clock may be from the host's, and how long the question for it may take: half of that is unknown. */
const CLOCK_MS = 50;
const QUESTIONS = 10;
/** On a busy machine most answers take too long to tell anything: then it is asked more often. */
const MOST_QUESTIONS = 200;

/** One answer, with the host's time in the middle of the question. */
interface Reading {
  readonly roundTripMs: number;
  readonly aheadMs: number;
}

/** Asserts that a guest's clock is right, by the fastest of several answers. `ask`: one round trip to the guest. */
export async function assertClock(
  t: ExecutionContext,
  ask: () => Promise<{ readonly unixTimeNanoseconds: bigint }>,
): Promise<void> {
  let fastest = await read(ask);
  for (let asked = 1; asked < QUESTIONS || (asked < MOST_QUESTIONS && !isQuick(fastest)); asked += 1) {
    const reading = await read(ask);
    if (reading.roundTripMs < fastest.roundTripMs) fastest = reading;
  }
  const { roundTripMs, aheadMs } = fastest;
  const said = `${aheadMs.toFixed(1)} ms ahead, asked in ${roundTripMs.toFixed(1)} ms`;
  t.log(`clock: ${said}`);
  t.true(isQuick(fastest), said);
  t.true(Math.abs(aheadMs) < CLOCK_MS, said);
}

function isQuick({ roundTripMs }: Reading): boolean {
  return roundTripMs < CLOCK_MS;
}

async function read(ask: Parameters<typeof assertClock>[1]): Promise<Reading> {
  const [before, started] = [Date.now(), performance.now()];
  const { unixTimeNanoseconds } = await ask();
  const roundTripMs = performance.now() - started;
  const guestMs = Number(unixTimeNanoseconds / 1_000_000n);
  return { roundTripMs, aheadMs: guestMs - (before + roundTripMs / 2) };
}
