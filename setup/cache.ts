import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { errnoOf } from "../sys/error.ts";

/** Where results of the set-up are kept from clone to clone. */
export const CACHE = process.env.TAPIR_CACHE_DIR ?? "/var/cache/tapir";

export interface CacheEntry {
  /** What kind of thing: "crictl". */
  readonly kind: string;
  /** Everything its content depends on. */
  readonly key: string;
  /** Makes it, below an empty directory. */
  readonly make: (directory: string) => Promise<void>;
}

/** The directory that holds an entry, made now when it is not there; it appears complete or not at all. */
export async function cached(entry: CacheEntry): Promise<{ directory: string; made: boolean }> {
  const directory = join(CACHE, entry.kind, entry.key);
  if (existsSync(directory)) return { directory, made: false };
  mkdirSync(dirname(directory), { recursive: true });
  const draft = mkdtempSync(`${directory}.`);
  try {
    await entry.make(draft);
    renameSync(draft, directory);
  } catch (error) {
    // Somebody else made the same thing meanwhile: theirs is as good.
    if (errnoOf(error) !== "ENOTEMPTY" && errnoOf(error) !== "EEXIST") throw error;
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
  return { directory, made: true };
}

/** Makes `path` a symbolic link to `target`, whatever was there. */
export function link(target: string, path: string): void {
  mkdirSync(dirname(path), { recursive: true });
  const draft = `${path}.new-${process.pid}`;
  rmSync(draft, { force: true });
  symlinkSync(target, draft);
  renameSync(draft, path);
}
