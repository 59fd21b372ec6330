import { closeSync, constants, fstatSync, openSync } from "node:fs";
import koffi from "koffi";
import { systemError } from "./error.ts";
import { check, libc } from "./libc.ts";
import { MS } from "./mount.ts";

/**
 * Mounts by descriptor (open_tree(2), mount_setattr(2), move_mount(2); Linux 5.12): a tree is complete before anybody
 * can see it, and no path is looked up twice.
 */

// The same numbers on every architecture (asm-generic/unistd.h).
const SYS_OPEN_TREE = 428;
const SYS_MOVE_MOUNT = 429;
const SYS_MOUNT_SETATTR = 442;
const AT_FDCWD = -100;
const AT_EMPTY_PATH = 0x1000;
const AT_RECURSIVE = 0x8000;
const OPEN_TREE_CLONE = 1;
const OPEN_TREE_CLOEXEC = 0o2000000;
const MOVE_MOUNT_F_EMPTY_PATH = 4;
const MOVE_MOUNT_T_EMPTY_PATH = 0x40;
const O_PATH = 0o10000000;
const HINT = "Tapir needs Linux 5.12 or later";

/** MOUNT_ATTR_* of mount_setattr(2). */
const ATTRIBUTES = { readOnly: 1, noSetuid: 2, noDevices: 4, noExec: 8 } as const;
const PROPAGATION = { private: MS.PRIVATE, slave: MS.SLAVE, shared: MS.SHARED } as const;

export interface MountAttributes {
  /** These are set; the others stay as they are. */
  readonly set?: readonly (keyof typeof ATTRIBUTES)[];
  readonly propagation?: keyof typeof PROPAGATION;
  /** Of all mounts of the tree, not only of the topmost one. */
  readonly recursive: boolean;
}

/**
 * A copy of what is seen at `source`, a folder or file, mounted nowhere yet: symbolic links are followed, once. Runs in a
 * thread of the pool, because a network file system may not answer. The descriptor is the caller's; closing it unmounts the
 * tree unless it was moved.
 */
export function cloneTree(source: string, options: { readonly recursive: boolean }): Promise<number> {
  const flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (options.recursive ? AT_RECURSIVE : 0);
  return new Promise((resolve, reject) => {
    libc.openTree.async(SYS_OPEN_TREE, AT_FDCWD, source, flags, (error: Error | null, fd: number) => {
      const errno = koffi.errno();
      if (error !== null) reject(error);
      else if (fd >= 0) resolve(Number(fd));
      else reject(systemError(errno, { operation: "open", object: source, ...hintFor(errno) }));
    });
  });
}

/** Changes the mounts of a tree, whether it is mounted or not. `tree` is a descriptor of its root. */
export function setAttributes(tree: number, { set = [], propagation, recursive }: MountAttributes): void {
  const attributes = Buffer.alloc(32);
  attributes.writeBigUInt64LE(BigInt(set.reduce((bits, name) => bits | ATTRIBUTES[name], 0)), 0);
  if (propagation !== undefined) attributes.writeBigUInt64LE(BigInt(PROPAGATION[propagation]), 16);
  const flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
  const result = libc.mountSetattr(SYS_MOUNT_SETATTR, tree, "", flags, attributes, attributes.length);
  check(Number(result), "change the attributes of", `mount ${tree}`, HINT);
}

/** Mounts a tree on `target`, which is of its kind. A symbolic link is an error, ELOOP. */
export function moveTree(tree: number, target: string): void {
  const place = openSync(target, O_PATH | constants.O_NOFOLLOW);
  try {
    // It could be mounted on: it is the link itself that is open.
    if (fstatSync(place).isSymbolicLink()) {
      throw systemError("ELOOP", { operation: "mount on", object: target });
    }
    const flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
    check(Number(libc.moveMount(SYS_MOVE_MOUNT, tree, "", place, "", flags)), "mount", target);
  } finally {
    closeSync(place);
  }
}

function hintFor(errno: number): { hint: string } | Record<string, never> {
  const ENOSYS = 38;
  return errno === ENOSYS ? { hint: HINT } : {};
}
