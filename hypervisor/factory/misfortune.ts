import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { reasonOf } from "../../sys/error.ts";

/** Why there is no template, remembered for a while: building one again and again would make every pod slow. */
export interface Misfortune {
  readonly reason: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** Of a file's name, before the key. */
const PREFIX = "failed-";
/** After this time it is tried again. */
const FORGET_MS = 10 * 60_000;

export function rememberMisfortune(store: string, key: string, error: unknown): void {
  const misfortune: Misfortune = { reason: reasonOf(error), at: Date.now() };
  try {
    writeFileSync(pathOf(store, key), JSON.stringify(misfortune), { mode: 0o600 });
  } catch {
    // No space, no directory: then that is what fails next time, too.
  }
}

/** What went wrong with the template of `key` not long ago. */
export function recallMisfortune(store: string, key: string): Misfortune | undefined {
  try {
    const { reason, at } = JSON.parse(readFileSync(pathOf(store, key), "utf8")) as Misfortune;
    const age = Date.now() - at;
    return age >= 0 && age < FORGET_MS ? { reason, at } : undefined;
  } catch {
    return undefined;
  }
}

export function forgetMisfortune(store: string, key: string): void {
  rmSync(pathOf(store, key), { force: true });
}

/** Removes what is remembered no longer: keys change with every update, so nobody asks for the old ones again. */
export function forgetOldMisfortunes(store: string): void {
  const keys = readdirSync(store).flatMap((name) =>
    name.startsWith(PREFIX) ? [name.slice(PREFIX.length)] : [],
  );
  for (const key of keys) if (recallMisfortune(store, key) === undefined) forgetMisfortune(store, key);
}

function pathOf(store: string, key: string): string {
  return join(store, PREFIX + key);
}
