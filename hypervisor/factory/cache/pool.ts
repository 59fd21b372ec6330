import { setTimeout as sleep } from "node:timers/promises";
import { type Deadline, deadlineIn } from "../../../sys/deadline.ts";
import { reasonOf } from "../../../sys/error.ts";
import type { Clone } from "./clone.ts";

/** Clones that wait to be taken. Makes new ones, one at a time, as long as there are fewer than wanted. */
export interface Pool {
  /** A clone of `key`, the caller's from now on; undefined when there is none. */
  take(key: string): Clone | undefined;
  readonly ready: number;
  /** How many are ready, by key. */
  readyByKey(): Readonly<Record<string, number>>;
  /** Why no clone is made now, or the last one was not; undefined when all is well. */
  readonly trouble: string | undefined;
  /** Stops making clones and removes those that nobody took. */
  close(): Promise<void>;
}

export interface PoolSettings {
  readonly size: number;
  /** What clones made now fit; changes when the guest's image is replaced. */
  key(): string;
  make(deadline: Deadline): Promise<Clone>;
  /** How long making one may take. */
  readonly makeMs: number;
  /** Why none may be made now. */
  shortage(): string | undefined;
  report(message: string, error?: unknown): void;
  /** Pauses, for tests: see `PAUSES`. */
  readonly pauses?: typeof PAUSES;
}

/** In milliseconds. */
const PAUSES = {
  /** After one was taken: the pod that starts needs the processors more. */
  taken: 1000,
  /** Until memory is looked at again: nothing tells when there is enough. */
  shortage: 5000,
  /** After a failure; each one in a row doubles it, to at most the last. */
  failure: 1000,
  failureMaximum: 60_000,
};

interface Entry {
  readonly key: string;
  readonly clone: Clone;
}

export function openPool(settings: PoolSettings): Pool {
  const { size, report, pauses = PAUSES } = settings;
  const closing = new AbortController();
  let entries: readonly Entry[] = [];
  let wake = Promise.withResolvers<void>();
  let restUntilMs = 0;
  let short = false;
  let trouble: string | undefined;

  const without = async (entry: Entry, reason: string): Promise<void> => {
    if (!entries.includes(entry)) return;
    entries = entries.filter((other) => other !== entry);
    report(reason);
    wake.resolve();
    await entry.clone.remove().catch((error: unknown) => report("cannot remove a clone", error));
  };
  const pause = (milliseconds: number): Promise<void> =>
    sleep(milliseconds, undefined, { signal: closing.signal }).catch(() => undefined);
  const add = async (): Promise<void> => {
    const key = settings.key();
    const limit = deadlineIn(settings.makeMs, "make a clone", closing.signal);
    const entry = { key, clone: await settings.make(limit) };
    entries = [...entries, entry];
    void entry.clone.exited.then(() => without(entry, "a clone that nobody took has ended"));
    report(`${entries.length} of ${size} clones are ready`);
  };
  const removeStale = async (): Promise<void> => {
    const key = settings.key();
    for (const entry of entries.filter((one) => one.key !== key)) {
      await without(entry, "a clone is stale: what it was made from has changed");
    }
  };
  /** One step; returns how long to wait before the next, or undefined: until something happens. */
  const step = async (failures: number): Promise<{ failures: number; waitMs: number | undefined }> => {
    try {
      await removeStale();
      if (entries.length >= size) {
        trouble = undefined;
        return { failures: 0, waitMs: undefined };
      }
      const shortage = settings.shortage();
      if (shortage !== undefined) {
        trouble = shortage;
        if (!short) report(`no clone is made: ${shortage}`);
        short = true;
        return { failures, waitMs: pauses.shortage };
      }
      short = false;
      await add();
      trouble = undefined;
      return { failures: 0, waitMs: 0 };
    } catch (error) {
      if (closing.signal.aborted) return { failures, waitMs: 0 };
      report("cannot make a clone", error);
      trouble = reasonOf(error);
      return {
        failures: failures + 1,
        waitMs: Math.min(pauses.failure * 2 ** failures, pauses.failureMaximum),
      };
    }
  };
  const run = async (): Promise<void> => {
    let failures = 0;
    while (!closing.signal.aborted) {
      wake = Promise.withResolvers();
      const result = await step(failures);
      failures = result.failures;
      await (result.waitMs === undefined ? wake.promise : pause(result.waitMs));
      for (let rest = restUntilMs - performance.now(); rest > 0; rest = restUntilMs - performance.now()) {
        await pause(rest);
        if (closing.signal.aborted) break;
      }
    }
  };
  const running = run();

  return {
    get ready() {
      return entries.length;
    },
    readyByKey() {
      const keys = [...new Set(entries.map(({ key }) => key))];
      return Object.fromEntries(keys.map((key) => [key, entries.filter((one) => one.key === key).length]));
    },
    get trouble() {
      return trouble;
    },
    take(key) {
      const entry = entries.find((one) => one.key === key);
      // Asked for something else: what we make may have changed.
      wake.resolve();
      if (entry === undefined) return undefined;
      entries = entries.filter((other) => other !== entry);
      restUntilMs = performance.now() + pauses.taken;
      return entry.clone;
    },
    async close() {
      closing.abort();
      wake.resolve();
      await running;
      const left = entries;
      entries = [];
      await Promise.all(left.map(({ clone }) => clone.remove()));
    },
  };
}
