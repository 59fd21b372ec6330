import { setTimeout as sleep } from "node:timers/promises";
import { reasonOf } from "../sys/error.ts";
import { type EventGroup, openEvents, type RouteEvent, RTNLGRP } from "../sys/netlink/events.ts";
import { NUD } from "../sys/netlink/records.ts";
import { isOwnTap } from "./pod-tap-mark.ts";

const GROUPS: readonly EventGroup[] = Object.values(RTNLGRP);
/** What happens at once is taken at once: a CNI makes a dozen changes for one NIC. */
const BATCH_MS = 50;
/** A stream of changes does not keep the first of them from the guest. */
const LONGEST_BATCH_MS = 400;
/** Pauses between attempts that failed; the last one stays. */
const RETRY_MS: readonly number[] = [200, 1000, 5000];

export interface Monitor {
  /** Resolves once nothing runs any more. */
  close(): Promise<void>;
}

/**
 * Calls `changed` once at the beginning and whenever the namespace changed, never twice at once, and again until it succeeds.
 * It is to read the namespace: what happens meanwhile makes it be called once more, so that lost events cost nothing but a
 * call. `failed` hears of a failure once, until another comes or it is over.
 */
export function monitorNetns(
  netns: string,
  changed: (stop: AbortSignal) => Promise<void>,
  failed: (error: unknown) => void,
): Monitor {
  const stop = new AbortController();
  const events = openEvents(GROUPS, { netns });
  // What changed before somebody listened is nothing that an event tells.
  let lastEventMs = performance.now();
  let firstEventMs: number | undefined = lastEventMs;
  let wake = Promise.withResolvers<void>();
  wake.resolve();

  const notice = async (): Promise<void> => {
    for await (const event of events) {
      if (!matters(event)) continue;
      lastEventMs = performance.now();
      firstEventMs ??= lastEventMs;
      wake.resolve();
    }
  };
  const quiet = async (): Promise<void> => {
    const since = firstEventMs ?? performance.now();
    for (;;) {
      const now = performance.now();
      const waitMs = Math.min(lastEventMs + BATCH_MS, since + LONGEST_BATCH_MS) - now;
      if (waitMs <= 0) return;
      await sleep(waitMs, undefined, { signal: stop.signal });
    }
  };
  const follow = async (): Promise<void> => {
    let told: string | undefined;
    for (let failures = 0; ; ) {
      if (failures === 0) await wake.promise;
      stop.signal.throwIfAborted();
      await quiet();
      firstEventMs = undefined;
      wake = Promise.withResolvers();
      try {
        await changed(stop.signal);
        failures = 0;
        told = undefined;
      } catch (error) {
        stop.signal.throwIfAborted();
        const reason = reasonOf(error);
        if (reason !== told) failed(error);
        told = reason;
        const pauseMs = RETRY_MS[Math.min(failures, RETRY_MS.length - 1)];
        failures += 1;
        // A new event is a reason to try at once.
        await Promise.race([wake.promise, sleep(pauseMs, undefined, { signal: stop.signal })]);
      }
    }
  };
  // Ends by closing alone: its error is the abort then.
  const following = Promise.allSettled([notice(), follow()]);
  return {
    async close() {
      stop.abort();
      events[Symbol.dispose]();
      wake.resolve();
      await following;
    },
  };
}

/** What the kernel learns by itself, and what Tapir does with its own taps, is nothing that the guest must know. */
function matters(event: RouteEvent): boolean {
  if (event.kind === "link") return !isOwnTap(event.link);
  return event.kind !== "neighbor" || event.gone || (event.neighbor.state & NUD.PERMANENT) !== 0;
}
