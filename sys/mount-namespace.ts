import { closeSync, openSync } from "node:fs";
import { wrapError } from "./error.ts";
import { check, libc } from "./libc.ts";

/** linux/sched.h */
const CLONE_FS = 0x200;
const CLONE_NEWNS = 0x20000;

/** The kernel lets no thread change its mount namespace that shares its root and working folder with others. */
let alone = false;

/**
 * Runs `work` with this thread inside the mount namespace of process `pid`, whose root is then "/", and returns to where it
 * was. `work` is synchronous on purpose, as for `inNetns`; descriptors opened outside stay good inside. From the first call
 * on this thread's working folder is its own: that of libuv's pool stays what it was. Errors: NOT_FOUND, there is no such process.
 */
export function inMountNamespace<T>(pid: number, work: () => T extends Promise<unknown> ? never : T): T {
  const target = openNamespace(pid);
  const home = openSync("/proc/thread-self/ns/mnt", "r");
  const folder = openSync(".", "r");
  try {
    if (!alone) check(libc.unshare(CLONE_FS), "leave", "the threads' common working folder");
    alone = true;
    check(libc.setns(target, CLONE_NEWNS), "enter", `mount namespace of process ${pid}`, "run as root");
    try {
      return work();
    } finally {
      check(libc.setns(home, CLONE_NEWNS), "return from", `mount namespace of process ${pid}`);
      check(libc.fchdir(folder), "return to", "the working folder");
    }
  } finally {
    for (const fd of [target, home, folder]) closeSync(fd);
  }
}

function openNamespace(pid: number): number {
  try {
    return openSync(`/proc/${pid}/ns/mnt`, "r");
  } catch (error) {
    throw wrapError(error, { operation: "enter", object: `mount namespace of process ${pid}` });
  }
}
