import { writeFile } from "node:fs/promises";
import { reasonOf } from "../../sys/error.ts";
import { unmount } from "../../sys/mount.ts";
import { log } from "../log.ts";

const DROP_CACHES = "/proc/sys/vm/drop_caches";
const ENTRIES_AND_INODES = "2";

/**
 * Lets go of folders of a share that nobody looks at any more. The host has a file open for each that the guest remembers:
 * until then a file system that it unmounts stays busy, and what it deletes keeps its space. What the host mounted in the
 * share is a mount of its own here, made by looking at it.
 */
export function letGoOf(paths: readonly string[]): void {
  if (paths.length === 0) return;
  for (const path of paths) unmount(path);
  // Of everything else it costs a second look, too; in a thread of the pool, and nobody waits for it.
  writeFile(DROP_CACHES, ENTRIES_AND_INODES).catch((error: unknown) => {
    log("cannot forget the files of a share", { error: reasonOf(error) });
  });
}
