import { readdirSync, watch, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { type Deadline, deadlineIn } from "./deadline.ts";
import { identify, isAlive, type ProcessIdentity, waitForExit } from "./process.ts";

/**
 * A queue of processes of this machine: an empty file for each, its name a ticket that says which queue, when it came and who
 * it is. Whoever is among the first may go on. Who dies is skipped, whoever clears up behind it.
 */

const TICKET = /^(.*?)(\d{20})-(\d+)-(\d+)$/;

/** A name for a place in the queue called `name` in a directory; nothing is there yet. Processes of one machine share the clock. */
export function ticketIn(directory: string, name: string): string {
  const { pid, startTime } = identify(process.pid) ?? { pid: process.pid, startTime: "0" };
  return join(directory, `${name}${String(process.hrtime.bigint()).padStart(20, "0")}-${pid}-${startTime}`);
}

/** Lines up: whoever has an earlier ticket goes first. Removing the ticket makes room for the next. */
export function lineUp(ticket: string): void {
  writeFileSync(ticket, "", { flag: "wx", mode: 0o600 });
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
  const queue = TICKET.exec(own)?.[1];
  return readdirSync(dirname(ticket))
    .filter((name) => name < own)
    .toSorted()
    .map((name) => TICKET.exec(name))
    .filter((found) => found !== null && found[1] === queue)
    .map((found) => ({ pid: Number(found?.[3]), startTime: found?.[4] ?? "" }))
    .filter(isAlive);
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
