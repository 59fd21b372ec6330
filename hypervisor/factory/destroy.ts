import { rmSync } from "node:fs";
import { join } from "node:path";
import type { Deadline } from "../../sys/deadline.ts";
import { lockFile } from "../../sys/file-lock.ts";
import { hasLedger, replayLedger } from "../../sys/ledger.ts";
import { unmount } from "../../sys/mount.ts";
import { WORK } from "./build.ts";
import { lockPathOf } from "./directory.ts";

/**
 * Removes every template, with what a killed builder left, and the directory. Waits for a build that is going on. Pods that
 * were restored live on; the next one builds again.
 */
export async function destroyFactory(directory: string, deadline: Deadline): Promise<void> {
  using _lock = await lockFile(lockPathOf(directory), deadline);
  const work = join(directory, WORK);
  if (hasLedger(work)) await replayLedger(work);
  // Ours, or a tmpfs that the operator mounted for it: either goes with what is on it.
  unmount(directory);
  rmSync(directory, { recursive: true, force: true });
  rmSync(lockPathOf(directory), { force: true });
}
