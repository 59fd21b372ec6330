import {
  closeSync,
  constants,
  ftruncateSync,
  futimesSync,
  openSync,
  readFileSync,
  watch,
  writeSync,
} from "node:fs";
import koffi from "koffi";
import { type Deadline, deadlineIn } from "./deadline.ts";
import { errnoNumber } from "./errno.ts";
import { systemError, wrapError } from "./error.ts";
import { libc } from "./libc.ts";
import { identify, type ProcessIdentity, waitForExit } from "./process.ts";

/** A lock between processes that is held. The kernel takes it from a process that dies (flock(2)). */
export interface FileLock extends Disposable {
  /** Idempotent. */
  release(): void;
}

const LOCK_EX = 2;
const LOCK_NB = 4;
const LOCK_UN = 8;

/** The lock of `path` (made when it is not there), or undefined when somebody has it: in this process, too. */
export function tryLock(path: string): FileLock | undefined {
  const fd = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
  if (libc.flock(fd, LOCK_EX | LOCK_NB) === -1) {
    const errno = koffi.errno();
    closeSync(fd);
    if (errnoNumber.nameOf(errno) === "EAGAIN") return undefined;
    throw systemError(errno, { operation: "lock", object: path });
  }
  try {
    // Who waits wants to know whose end to wait for, too.
    ftruncateSync(fd, 0);
    writeSync(fd, JSON.stringify(identify(process.pid)), 0);
  } catch (error) {
    // The lock goes with it.
    closeSync(fd);
    throw wrapError(error, { operation: "lock", object: path });
  }
  let held = true;
  const release = (): void => {
    if (!held) return;
    held = false;
    libc.flock(fd, LOCK_UN);
    // What waiters watch for. Only the times: the next owner may have written its name already.
    futimesSync(fd, new Date(), new Date());
    closeSync(fd);
  };
  return { release, [Symbol.dispose]: release };
}

/** The lock of a directory, which leaves nothing in it; undefined when somebody has it. */
export function tryLockDirectory(path: string): FileLock | undefined {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  if (libc.flock(fd, LOCK_EX | LOCK_NB) === -1) {
    const errno = koffi.errno();
    closeSync(fd);
    if (errnoNumber.nameOf(errno) === "EAGAIN") return undefined;
    throw systemError(errno, { operation: "lock", object: path });
  }
  let held = true;
  const release = (): void => {
    if (held) closeSync(fd);
    held = false;
  };
  return { release, [Symbol.dispose]: release };
}

/** Waits for the lock of `path`: its owner lets go of it, or dies. */
export async function lockFile(path: string, deadline: Deadline): Promise<FileLock> {
  for (;;) {
    const free = tryLock(path);
    if (free !== undefined) return free;
    const stop = new AbortController();
    try {
      const changed = changeOf(path, stop.signal);
      // Watched first, asked again then: a release in between is not missed.
      const again = tryLock(path);
      if (again !== undefined) return again;
      await deadline.race(Promise.race([changed, endOf(ownerOf(path), deadline, stop.signal)]));
    } finally {
      stop.abort();
    }
  }
}

function changeOf(path: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const watcher = watch(path, { signal });
    watcher.once("change", () => resolve());
    watcher.once("error", reject);
  });
}

/** Resolves when the owner is gone; never when nobody is known: then the file will change, or the deadline ends it. */
async function endOf(
  owner: ProcessIdentity | undefined,
  deadline: Deadline,
  signal: AbortSignal,
): Promise<void> {
  // This process's own end need not be waited for; and each such wait takes a thread of libuv's few.
  if (owner !== undefined && owner.pid !== process.pid) {
    const waiting = deadlineIn(deadline.remainingMs(), deadline.job, signal);
    const ended = await waitForExit(owner, waiting).then(
      () => true,
      () => false,
    );
    if (ended) return;
  }
  await new Promise(() => undefined);
}

/** Undefined while the owner is about to write its name. */
function ownerOf(path: string): ProcessIdentity | undefined {
  try {
    const owner: unknown = JSON.parse(readFileSync(path, "utf8"));
    return isIdentity(owner) ? owner : undefined;
  } catch {
    return undefined;
  }
}

function isIdentity(value: unknown): value is ProcessIdentity {
  return (
    typeof value === "object" &&
    value !== null &&
    "pid" in value &&
    typeof value.pid === "number" &&
    "startTime" in value &&
    typeof value.startTime === "string"
  );
}
