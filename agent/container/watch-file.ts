import { watch } from "node:fs";
import type { Deadline } from "../../sys/deadline.ts";

/**
 * Waits until `check` is true, asking it now and whenever the kernel says that the file changed (cgroup.events and
 * memory.events do, through inotify). An error of `check` ends the wait.
 */
export async function waitForFile(path: string, check: () => boolean, deadline: Deadline): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const look = (): void => {
    try {
      if (check()) resolve();
    } catch (error) {
      reject(error);
    }
  };
  // Watch first, look then: a change in between is seen either way.
  const watcher = watch(path, look);
  watcher.on("error", reject);
  try {
    look();
    await deadline.race(promise);
  } finally {
    watcher.close();
  }
}
