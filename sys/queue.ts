import { mkdirSync, readdirSync, rmdirSync, rmSync, watch, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { type Deadline, deadlineIn } from "./deadline.ts";
import { errnoOf } from "./error.ts";
import { identify, isAlive, type ProcessIdentity, waitForExit } from "./process.ts";

/**
 * A queue of processes of this machine, in a directory: one empty file for each, its name a ticket with when it came and who it
 * is. Whoever is among the first may go on. Who dies is skipped, whoever clears up behind it.
 */

/** A name for a place in the queue; nothing is there yet. Processes of one machine share the clock. */
export function ticketIn(directory: string): string {
  const { pid, startTime } = identify(process.pid) ?? { pid: process.pid, startTime: "0" };
  return join(directory, `${String(process.hrtime.bigint()).padStart(20, "0")}-${pid}-${startTime}`);
}

/** Lines up: whoever has an earlier ticket goes first. */
export function lineUp(ticket: string): void {
  for (;;) {
    mkdirSync(dirname(ticket), { recursive: true, mode: 0o700 });
    try {
      writeFileSync(ticket, "", { flag: "wx", mode: 0o600 });
      return;
    } catch (error) {
      // The last one of the queue took the directory along.
      if (errnoOf(error) !== "ENOENT") throw error;
    }
  }
}

/** Makes room for the next. Idempotent; an empty queue leaves no directory. */
export function leaveQueue(ticket: string): void {
  rmSync(ticket, { force: true });
  try {
    rmdirSync(dirname(ticket));
  } catch (error) {
    const errno = errnoOf(error);
    if (errno !== "ENOTEMPTY" && errno !== "ENOENT") throw error;
  }
}

/** Waits until less than `places` living processes are ahead: each leaves, or dies. */
export async function awaitTurn(ticket: string, places: number, deadline: Deadline): Promise<void> {
  while (livingAhead(ticket).length >= places) {
    const stop = new AbortController();
    try {
      // Watched first, counted again then: who leaves in between is not missed.
      const left = someoneLeaves(dirname(ticket), stop.signal);
      const ahead = livingAhead(ticket);
      const [first] = ahead;
      if (first === undefined || ahead.length < places) return;
      await deadline.race(Promise.race([left, endOf(first, deadline, stop.signal)]));
    } finally {
      stop.abort();
    }
  }
}

function livingAhead(ticket: string): ProcessIdentity[] {
  const own = basename(ticket);
  return readdirSync(dirname(ticket))
    .filter((name) => name < own)
    .toSorted()
    .map(ownerOf)
    .filter((owner) => owner !== undefined)
    .filter(isAlive);
}

function ownerOf(name: string): ProcessIdentity | undefined {
  const [, pid, startTime] = /^\d+-(\d+)-(\d+)$/.exec(name) ?? [];
  return pid === undefined || startTime === undefined ? undefined : { pid: Number(pid), startTime };
}

/** Or comes: the names are counted again. */
function someoneLeaves(directory: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const watcher = watch(directory, { signal });
    watcher.once("change", () => resolve());
    watcher.once("error", reject);
  });
}

/** Resolves when the process is gone; never when it is this one, or the wait was given up. */
async function endOf(process: ProcessIdentity, deadline: Deadline, signal: AbortSignal): Promise<void> {
  const waiting = deadlineIn(deadline.remainingMs(), deadline.job, signal);
  if (process.pid !== globalThis.process.pid) {
    const ended = await waitForExit(process, waiting).then(
      () => true,
      () => false,
    );
    if (ended) return;
  }
  await new Promise(() => undefined);
}
