import type { Deadline } from "../../sys/deadline.ts";
import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import { run } from "./run.ts";

export interface PingOptions {
  /** Bytes after the ICMP header, sent with don't-fragment; an IPv4 packet is 28 bytes longer, an IPv6 packet 48. */
  readonly payload?: number;
}

/** Pings from inside a network namespace until the first answer; returns its round trip in milliseconds. */
export async function ping(
  netns: string,
  address: string,
  deadline: Deadline,
  { payload }: PingOptions = {},
): Promise<number> {
  const size = payload === undefined ? [] : ["-M", "do", "-s", String(payload)];
  const seconds = Math.max(1, Math.ceil(deadline.remainingMs() / 1000));
  // ping waits by itself: it ends with the first answer, or when its time is up.
  const args = ["-n", "-c", "1", "-w", String(seconds), ...size, address];
  const { exitCode, stdout, stderr } = await run({ command: "ping", args, netns, deadline });
  const time = /time=([\d.]+) ms/.exec(stdout)?.[1];
  if (exitCode === 0 && time !== undefined) return Number(time);
  throw new TapirError({
    code: Code.UNAVAILABLE,
    operation: "ping",
    object: `${address} from ${netns}`,
    cause: `${stdout}${stderr}`.trim(),
  });
}
