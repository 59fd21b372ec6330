import { setTimeout as pause } from "node:timers/promises";
import type { Deadline } from "../../sys/deadline.ts";
import type { Pump } from "./pump.ts";

/** Output that its reader has not taken for so long has no reader. */
const STILL_MS = 5_000;

/**
 * Resolves, for a process that has ended, when its output has drained, or will not: its reader takes nothing of it, or
 * the guest has sent nothing of it until the deadline. A guest that is only slow is waited for.
 */
export async function outputSettled(
  pump: Pick<Pump, "drained" | "moved" | "waitsForReader">,
  deadline: Deadline,
  stillMs = STILL_MS,
): Promise<void> {
  let drained = false;
  const draining = pump.drained.then(() => {
    drained = true;
  });
  for (let before = -1; ; before = pump.moved) {
    const waiting = new AbortController();
    const late = pause(Math.min(stillMs, deadline.remainingMs()), undefined, { signal: waiting.signal });
    await Promise.race([draining, late.catch(() => undefined)]);
    waiting.abort();
    if (drained) return;
    const isStill = before === pump.moved;
    if (isStill && (pump.waitsForReader || deadline.remainingMs() <= 0)) return;
  }
}
