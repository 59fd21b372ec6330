import { writeFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { reasonOf } from "../../sys/error.ts";
import { unmountWaiting } from "../../sys/mount.ts";
import { log } from "../log.ts";

const DROP_CACHES = "/proc/sys/vm/drop_caches";
const ENTRIES_AND_INODES = "2";
/** A server that answers does it within this; the end of a container does not hang on one that does not. */
const PATIENCE_MS = 1_000;

/** One after the other: a server that has stalled holds one thread of the pool, not all that the agent lives by. */
let lettingGo: Promise<void> = Promise.resolve();

/**
 * Lets go of folders of a share that nobody looks at any more. The host has a file open for each that the guest remembers:
 * until then a file system that it unmounts stays busy, and what it deletes keeps its space. What the host mounted in the
 * share is a mount of its own here, made by looking at it. Looking it up again asks the share's server, which may have
 * stalled: the caller waits for that a moment, then it goes on by itself.
 */
export async function letGoOf(paths: readonly string[]): Promise<void> {
  if (paths.length === 0) return;
  const unmounted = lettingGo.then(async () => {
    for (const path of paths) await unmountWaiting(path);
  });
  lettingGo = unmounted
    // Of everything else it costs a second look, too.
    .then(() => writeFile(DROP_CACHES, ENTRIES_AND_INODES))
    .catch((error: unknown) => log("cannot forget the files of a share", { error: reasonOf(error) }));
  await Promise.race([unmounted.catch(() => undefined), pause(PATIENCE_MS, undefined, { ref: false })]);
}
