import { fchmodSync, fchownSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { libc } from "../../sys/libc.ts";
import type { GuestMemory } from "./arguments.ts";

const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;
const LOCK_UN = 8;
const CLOSED = 0o600;
const OPEN = 0o666;
/** Whoever closes the file holds its lock for microseconds; a QEMU that was taken over could hold it for ever. */
const TRIES = 50;
const BETWEEN_MS = 1;

/**
 * Lets the user of a VM open its memory by the descriptor. Memory of its own becomes the user's. What it maps privately is the
 * template's: QEMU opens that for writing, too (8.2 would not need to), so anybody may who has the descriptor; nobody gets to it
 * by its path. To be disposed of once QEMU has it open: the last of those that start at once closes it to all.
 */
export async function admit(user: number, { fd, shared }: GuestMemory): Promise<Disposable> {
  if (shared) {
    fchownSync(fd, user, user);
    return { [Symbol.dispose]: () => undefined };
  }
  const counted = await share(fd);
  fchmodSync(fd, OPEN);
  const close = (): void => {
    // Our own share is given up first, so of several that ask at once the last one gets it (flock(2)).
    if (libc.flock(fd, LOCK_EX | LOCK_NB) === 0) fchmodSync(fd, CLOSED);
    libc.flock(fd, LOCK_UN);
  };
  return { [Symbol.dispose]: () => (counted ? close() : undefined) };
}

/** While anybody shares the file's lock nobody closes it. False: somebody keeps it, and the file stays open. */
async function share(fd: number): Promise<boolean> {
  for (let attempt = 0; attempt < TRIES; attempt += 1) {
    if (libc.flock(fd, LOCK_SH | LOCK_NB) === 0) return true;
    await setTimeout(BETWEEN_MS);
  }
  return false;
}
