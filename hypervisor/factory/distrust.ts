import { reasonOf } from "../../sys/error.ts";
import { tryLock } from "../../sys/file-lock.ts";
import { lockPathOf } from "./directory.ts";
import { rememberMisfortune } from "./misfortune.ts";
import { listTemplates, type OpenTemplate, removeTemplate } from "./store.ts";

/**
 * Removes a template whose guest was of no use: the next pod makes a new one, unless this one never worked. One that was made
 * since is another. While somebody builds, nothing is removed: it could be what is being published, and who meets the bad
 * template next says so again.
 */
export function distrustTemplate(store: string, { manifest, hits }: OpenTemplate, reason: unknown): void {
  using lock = tryLock(lockPathOf(store));
  if (lock === undefined) return;
  const { key, createdAt } = manifest;
  const present = listTemplates(store).find((one) => one.key === key)?.manifest;
  if (present !== undefined && present.createdAt !== createdAt) return;
  removeTemplate(store, key);
  if (hits === 0) rememberMisfortune(store, key, new Error(`it cannot be restored: ${reasonOf(reason)}`));
}
