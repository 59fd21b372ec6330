import { closeSync, writeSync } from "node:fs";
import type { Deadline } from "./deadline.ts";
import { check, libc } from "./libc.ts";

const POLLIN = 1;
const EFD_CLOEXEC = 0x8_0000;

/**
 * Whether there is something to read from `fd` before the deadline: poll(2) waits in a pool thread, which the deadline's end
 * or abort sets free.
 */
export async function becomesReadable(fd: number, deadline: Deadline): Promise<boolean> {
  const wake = check(libc.eventfd(0, EFD_CLOEXEC), "wait for", `descriptor ${fd}`);
  const onAbort = (): void => void writeSync(wake, BigUint64Array.of(1n));
  deadline.signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await pollTwo(fd, wake, Math.min(Math.ceil(deadline.remainingMs()), MAX_POLL_MS));
  } finally {
    deadline.signal.removeEventListener("abort", onAbort);
    closeSync(wake);
  }
}

/** What poll's argument, an int, can say. */
const MAX_POLL_MS = 2 ** 31 - 1;

/** Whether the first of two descriptors became readable within `milliseconds`, rather than the second or none. */
function pollTwo(first: number, second: number, milliseconds: number): Promise<boolean> {
  const request = Buffer.alloc(16);
  request.writeInt32LE(first, 0);
  request.writeInt16LE(POLLIN, 4);
  request.writeInt32LE(second, 8);
  request.writeInt16LE(POLLIN, 12);
  return new Promise((resolve, reject) => {
    libc.poll.async(request, 2, milliseconds, (error: Error | null) =>
      error === null ? resolve(request.readInt16LE(6) !== 0) : reject(error),
    );
  });
}
