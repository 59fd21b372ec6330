import { setTimeout } from "node:timers/promises";
import type { Deadline } from "../../sys/deadline.ts";
import { diffInventory, type Inventory } from "../../sys/inventory.ts";

const PAUSE_MS = 100;
/** An inventory costs some 20 ms of a processor: what takes half a minute is not looked at three hundred times. */
const LONGEST_PAUSE_MS = 800;
const REST_MS = 400;

/**
 * The difference between `before` and what `take` finds, once there is none or the deadline is near. containerd, and
 * the kernel for a network namespace, finish removing after they answered; no event tells about all of it.
 */
export async function settledDifference(
  before: Inventory,
  take: () => Promise<Inventory>,
  deadline: Deadline,
): Promise<string[]> {
  for (let pause = PAUSE_MS; ; pause = Math.min(pause * 1.2, LONGEST_PAUSE_MS)) {
    const difference = diffInventory(before, await take());
    if (difference.length === 0 || deadline.remainingMs() < 2 * pause) return difference;
    await setTimeout(pause);
  }
}

/** The first inventory that is still right a moment later: containerd closes some things after it has answered. */
export async function atRest(take: () => Promise<Inventory>, deadline: Deadline): Promise<Inventory> {
  for (let last = await take(); ; ) {
    await setTimeout(REST_MS, undefined, { signal: deadline.signal });
    const now = await take();
    if (diffInventory(last, now).length === 0) return now;
    last = now;
  }
}
