import { closeSync, fstatSync, openSync, readlinkSync, statfsSync } from "node:fs";
import { TapirError, wrapError } from "./error.ts";
import { check, libc } from "./libc.ts";
import { Code } from "./status.ts";

const CLONE_NEWNET = 0x4000_0000;
/** Magic number of nsfs (linux/magic.h). */
const NSFS_MAGIC = 0x6e73_6673;

/**
 * Runs `work` with this thread inside the network namespace at `path` and returns to where it was.
 *
 * `work` is synchronous on purpose: no other callback of the event loop can run in the wrong namespace
 * (setns(2) is per thread; libuv's pool threads stay outside). Descriptors opened inside — netlink sockets,
 * taps — keep belonging to that namespace.
 */
export function inNetns<T>(path: string, work: () => T extends Promise<unknown> ? never : T): T {
  const target = openNetns(path);
  try {
    const home = openSync("/proc/thread-self/ns/net", "r");
    try {
      check(libc.setns(target, CLONE_NEWNET), "enter", `netns ${path}`, "run as root");
      try {
        return work();
      } finally {
        check(libc.setns(home, CLONE_NEWNET), "return from", `netns ${path}`);
      }
    } finally {
      closeSync(home);
    }
  } finally {
    closeSync(target);
  }
}

/**
 * Runs `work` with this thread inside a new network namespace, which lives for as long as something that `work` made in it
 * (a tap, a socket) does.
 */
export function inFreshNetns<T>(work: () => T extends Promise<unknown> ? never : T): T {
  const home = openSync("/proc/thread-self/ns/net", "r");
  try {
    check(libc.unshare(CLONE_NEWNET), "make", "a network namespace", "run as root");
    try {
      return work();
    } finally {
      check(libc.setns(home, CLONE_NEWNET), "return from", "a new network namespace");
    }
  } finally {
    closeSync(home);
  }
}

/** A new network namespace that nobody else sees; it goes with what was made in it when it is disposed. */
export function makeScratchNetns(): Disposable & { readonly path: string } {
  const fd = inFreshNetns(() => openSync("/proc/thread-self/ns/net", "r"));
  return { path: `/proc/self/fd/${fd}`, [Symbol.dispose]: () => closeSync(fd) };
}

/** True when `path` is the namespace this process itself lives in. */
export function isOwnNetns(path: string): boolean {
  const own = readlinkSync("/proc/self/ns/net");
  return inNetnsFd(path, (fd) => readlinkSync(`/proc/self/fd/${fd}`)) === own;
}

/** The number that tells living namespaces apart: what `net:[...]` shows. */
export function netnsInode(path: string): number {
  return inNetnsFd(path, (fd) => fstatSync(fd).ino);
}

function inNetnsFd<T>(path: string, work: (fd: number) => T): T {
  const fd = openNetns(path);
  try {
    return work(fd);
  } finally {
    closeSync(fd);
  }
}

function openNetns(path: string): number {
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch (error) {
    throw wrapError(error, {
      operation: "open",
      object: `netns ${path}`,
      hint: "is the pod's network set up?",
    });
  }
  if (statfsSync(`/proc/self/fd/${fd}`).type === NSFS_MAGIC) return fd;
  closeSync(fd);
  throw new TapirError({
    code: Code.INVALID_ARGUMENT,
    operation: "open",
    object: `netns ${path}`,
    cause: "it is not a namespace file",
  });
}
