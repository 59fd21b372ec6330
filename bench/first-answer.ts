import { spawn } from "node:child_process";
import { watch } from "node:fs";
import { createInterface } from "node:readline";
import type { Deadline } from "../sys/deadline.ts";
import { inNetns } from "../sys/netns.ts";

/**
 * Often enough to tell milliseconds, seldom enough not to be the load that is measured: with less than 10, ping does not sleep
 * between its questions once somebody answers, and somebody does, the netns's own kernel, long before the guest.
 */
const USUAL_INTERVAL_MS = 10;

export interface AnswerOptions {
  /** Answers with another TTL are somebody else's. */
  readonly ttl?: number | undefined;
  /** Between two echo requests. */
  readonly intervalMs?: number;
}

/**
 * The moment (of `performance.now()`) at which `address` answers in a network namespace. Asks from now on, whether there is anybody
 * yet or not.
 */
export async function firstAnswer(
  netns: string,
  address: string,
  { ttl, intervalMs = USUAL_INTERVAL_MS }: AnswerOptions,
  deadline: Deadline,
): Promise<number> {
  // Without a limit of its own: with one, it gives up at the first ICMP error, and there are some before the pod is there.
  const args = ["-n", "-i", String(intervalMs / 1000), address];
  const ping = inNetns(netns, () => spawn("ping", args, { stdio: ["ignore", "pipe", "ignore"] }));
  const ended = new Promise<void>((resolve) => ping.once("close", () => resolve()));
  const answer = ttl === undefined ? /ttl=/ : new RegExp(`ttl=${ttl}\\b`);
  try {
    return await deadline.race(
      new Promise<number>((resolve, reject) => {
        createInterface({ input: ping.stdout }).on("line", (line) => {
          if (answer.test(line)) resolve(performance.now());
        });
        ping.once("error", reject);
        void ended.then(() => reject(new Error(`cannot reach ${address}: nobody answered`)));
      }),
    );
  } finally {
    ping.kill("SIGKILL");
    await ended;
  }
}

/** An address as CNI gives it to a pod. */
export interface GivenAddress {
  readonly address: string;
  readonly at: number;
}

/** Calls `given` for each IPv4 address that host-local notes in `store` (one file each) from now on; returns the end of it. */
export function watchAddresses(store: string, given: (address: GivenAddress) => void): () => void {
  const seen = new Set<string>();
  const watcher = watch(store, (_, name) => {
    if (name === null || seen.has(name) || !/^\d+\.\d+\.\d+\.\d+$/.test(name)) return;
    seen.add(name);
    given({ address: name, at: performance.now() });
  });
  return () => watcher.close();
}
