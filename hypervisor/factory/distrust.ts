import { closeSync, openSync, rmSync } from "node:fs";
import { join } from "node:path";
import { codeOf, errnoOf, reasonOf } from "../../sys/error.ts";
import { tryLock } from "../../sys/file-lock.ts";
import { Code } from "../../sys/status.ts";
import { lockPathOf } from "./directory.ts";
import { rememberMisfortune } from "./misfortune.ts";
import { listTemplates, type OpenTemplate, removeTemplate } from "./store.ts";

/** In a template's directory: a guest of it was late, and none has answered since. */
const DOUBT_FILE = "doubt";

/** A guest of this template answers: that one was late before was the machine's doing. */
export function trustTemplate(store: string, { manifest }: OpenTemplate): void {
  rmSync(join(store, manifest.key, DOUBT_FILE), { force: true });
}

/**
 * Removes a template whose guest was of no use; one that only was late, when the guest before was late, too. The next pod makes
 * a new one, unless this one never worked. One that was made since is another. While somebody builds, nothing is removed: it could
 * be what is being published, and who meets the bad template next says so again.
 */
export function distrustTemplate(store: string, { manifest, hits }: OpenTemplate, reason: unknown): void {
  using lock = tryLock(lockPathOf(store));
  if (lock === undefined) return;
  const { key, createdAt } = manifest;
  const present = listTemplates(store).find((one) => one.key === key)?.manifest;
  if (present !== undefined && present.createdAt !== createdAt) return;
  if (codeOf(reason) === Code.DEADLINE_EXCEEDED && isFirstDoubt(join(store, key))) return;
  removeTemplate(store, key);
  if (hits === 0) rememberMisfortune(store, key, new Error(`it cannot be restored: ${reasonOf(reason)}`));
}

function isFirstDoubt(directory: string): boolean {
  try {
    closeSync(openSync(join(directory, DOUBT_FILE), "wx", 0o600));
    return true;
  } catch (error) {
    // Without room for a doubt every one would be the first.
    return errnoOf(error) === "ENOENT";
  }
}
