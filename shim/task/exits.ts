import { type ExitRecord, exitFile } from "../bundle-files.ts";

/** The end of one process: recorded once, waited for by anybody, any number of times. */
export interface ExitSlot {
  /** undefined while the process lives. */
  readonly record: ExitRecord | undefined;
  /** Resolves with the record; rejects when there will never be one. */
  readonly wait: Promise<ExitRecord>;
  /** Records the end, on disk first where that is possible. Only the first call counts and returns true: later ones know less. */
  settle(record: ExitRecord): boolean;
  /** There was no process after all. */
  abandon(reason: Error): void;
}

/** `bundle`: where the record is kept for whoever comes after this process, if anywhere. */
export function openExitSlot(bundle: string | undefined): ExitSlot {
  const { promise, resolve, reject } = Promise.withResolvers<ExitRecord>();
  let record: ExitRecord | undefined;
  // Often nobody waits.
  promise.catch(() => undefined);
  return {
    get record() {
      return record;
    },
    wait: promise,
    settle(first) {
      if (record !== undefined) return false;
      record = first;
      try {
        if (bundle !== undefined) exitFile.write(bundle, first);
      } catch {
        // The bundle is gone, and with it whoever would look there. Those who wait here must hear of it all the same.
      }
      resolve(first);
      return true;
    },
    abandon: reject,
  };
}
