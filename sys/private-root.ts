import { lstatSync, mkdirSync, openSync, readlinkSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { errnoOf } from "./error.ts";
import { closeAll } from "./fdpass.ts";
import { check, libc } from "./libc.ts";
import { MS, mount } from "./mount.ts";

/**
 * A root file system of their own for processes that are to see next to nothing: what a thread starts while it is inside
 * stays inside (unshare(2), pivot_root(2)); the thread itself comes back.
 */

const CLONE_NEWNS = 0x0002_0000;
const CLONE_NEWIPC = 0x0800_0000;
const CLONE_NEWNET = 0x4000_0000;
/** The order of return: what a thread may do depends on nothing but its user namespace, which stays. */
const NAMESPACES = [
  ["net", CLONE_NEWNET],
  ["ipc", CLONE_NEWIPC],
  ["mnt", CLONE_NEWNS],
] as const;
const MNT_DETACH = 2;
const O_PATH = 0o10000000;

export interface PrivateRoot {
  /** A folder; the root is mounted on it, for a moment and in the new mount namespace only. Nothing visible lies in it. */
  readonly mountPoint: string;
  /** Files and folders, absolute, that are seen read-only where they are; links stay links. What is not there is left out. */
  readonly visible: readonly string[];
  /** Device nodes that may be opened. */
  readonly devices: readonly string[];
}

/**
 * Runs `work` with this thread in a root that shows only what is `visible`, the `devices`, and the processes of the same user
 * in /proc, in a network namespace without interfaces and an IPC namespace of its own. All of them live for as long as a
 * process that `work` started. `work` is synchronous on purpose: no other callback may run in there, and nothing in it may
 * load a file that is not visible.
 */
export function inPrivateRoot<T>(
  { mountPoint, visible, devices }: PrivateRoot,
  work: () => T extends Promise<unknown> ? never : T,
): T {
  const home = openHome();
  try {
    const flags = NAMESPACES.reduce((all, [, flag]) => all | flag, 0);
    check(libc.unshare(flags), "make", "mount, network and IPC namespaces", "run as root");
    try {
      // What is mounted here stays here.
      mount({ source: "none", target: "/", type: "", flags: MS.REC | MS.PRIVATE });
      buildRoot(mountPoint, visible, devices);
      enterRoot(mountPoint);
      return work();
    } finally {
      home.comeBack();
    }
  } finally {
    home.close();
  }
}

/** Where this thread is: its namespaces, its root, its working directory. */
function openHome(): { comeBack(): void; close(): void } {
  const fds: number[] = [];
  const open = (path: string, flags: string | number): number => {
    const fd = openSync(path, flags);
    fds.push(fd);
    return fd;
  };
  try {
    const namespaces = NAMESPACES.map(
      ([name, flag]) => [open(`/proc/thread-self/ns/${name}`, "r"), flag] as const,
    );
    const root = open("/", O_PATH);
    const directory = open(".", O_PATH);
    return {
      comeBack() {
        for (const [fd, flag] of namespaces) check(libc.setns(fd, flag), "return from", "a private root");
        // Entering a mount namespace leads to its topmost root, which a service in a chroot does not have.
        check(libc.fchdir(root), "return to", "the root directory");
        check(libc.chroot("."), "return to", "the root directory");
        check(libc.fchdir(directory), "return to", "the working directory");
      },
      close: () => closeAll(fds),
    };
  } catch (error) {
    closeAll(fds);
    throw error;
  }
}

function buildRoot(root: string, visible: readonly string[], devices: readonly string[]): void {
  mount({
    source: "tmpfs",
    target: root,
    type: "tmpfs",
    flags: MS.NOSUID | MS.NODEV,
    data: "mode=755,size=64k",
  });
  for (const path of outermost(visible)) show(root, path, MS.RDONLY | MS.NOSUID | MS.NODEV);
  for (const path of devices) show(root, path, MS.NOSUID | MS.NOEXEC);
  const proc = join(root, "proc");
  mkdirSync(proc);
  const flags = MS.NOSUID | MS.NODEV | MS.NOEXEC;
  mount({ source: "proc", target: proc, type: "proc", flags, data: "hidepid=invisible,subset=pid" });
  mount({
    source: "none",
    target: root,
    type: "",
    flags: MS.REMOUNT | MS.BIND | MS.RDONLY | MS.NOSUID | MS.NODEV,
  });
}

/** Without what is seen with a folder around it. */
function outermost(paths: readonly string[]): string[] {
  return [...new Set(paths)].filter((path) => !paths.some((other) => path.startsWith(`${other}/`)));
}

function show(root: string, path: string, flags: number): void {
  const target = join(root, path);
  try {
    const stat = lstatSync(path);
    mkdirSync(dirname(target), { recursive: true });
    if (stat.isSymbolicLink()) {
      symlinkSync(readlinkSync(path), target);
      return;
    }
    if (stat.isDirectory()) mkdirSync(target, { recursive: true });
    else writeFileSync(target, "");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return;
    throw error;
  }
  mount({ source: path, target, type: "", flags: MS.BIND });
  mount({ source: "none", target, type: "", flags: MS.REMOUNT | MS.BIND | flags });
}

/** pivot_root(2), "pivot_root(".", ".")": the old root lies on top of the new one and is taken off. */
function enterRoot(root: string): void {
  check(libc.chdir(root), "enter", root);
  check(libc.pivotRoot(".", "."), "make a root of", root);
  check(libc.umount2(".", MNT_DETACH), "unmount", "the old root");
  check(libc.chdir("/"), "enter", "the new root");
}
