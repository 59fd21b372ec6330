import { execFile } from "node:child_process";
import type { Deadline } from "../sys/deadline.ts";
import { TapirError } from "../sys/error.ts";
import { Code } from "../sys/status.ts";

/** busybox of the guest image, by its own path: a debugging tool, not a dependency of anything. */
const BUSYBOX = "/usr/bin/busybox";

/** Pings `address` until the first answer; milliseconds of its round trip. UNAVAILABLE when nobody answers in time. */
export async function ping(address: string, timeoutMs: number, deadline: Deadline): Promise<number> {
  const seconds = Math.max(1, Math.ceil(Math.min(timeoutMs, deadline.remainingMs()) / 1000));
  // busybox waits ten seconds for the last answer unless told otherwise, whatever -w says.
  const args = ["ping", "-c", "1", "-w", String(seconds), "-W", String(seconds), address];
  const { promise, resolve } = Promise.withResolvers<string>();
  execFile(BUSYBOX, args, { signal: deadline.signal }, (_, stdout, stderr) => resolve(stdout + stderr));
  const output = await promise;
  const time = /time=([\d.]+) ms/.exec(output)?.[1];
  if (time !== undefined) return Number(time);
  throw new TapirError({
    code: Code.UNAVAILABLE,
    operation: "ping",
    object: address,
    cause: output.trim() || "no answer",
  });
}
