import { check, libc } from "./libc.ts";

// The same numbers on every architecture (asm-generic/unistd.h).
const SYS_FSOPEN = 430;
const SYS_FSCONFIG = 431;
const SYS_FSMOUNT = 432;
const FSOPEN_CLOEXEC = 1;
const FSMOUNT_CLOEXEC = 1;
const FSCONFIG_CMD_CREATE = 6;
const HINT = "Tapir needs Linux 5.2 or later";

/**
 * A new file system that is mounted nowhere: nobody else sees it, and it goes with its descriptor, which is the caller's.
 * A sysfs shows the network of the namespace in which this runs.
 */
export function detachedMount(type: "sysfs" | "tmpfs"): number {
  const context = check(Number(libc.fsopen(SYS_FSOPEN, type, FSOPEN_CLOEXEC)), "open", type, HINT);
  try {
    const configured = libc.fsconfig(SYS_FSCONFIG, context, FSCONFIG_CMD_CREATE, null, null, 0);
    check(Number(configured), "make", type);
    return check(Number(libc.fsmount(SYS_FSMOUNT, context, FSMOUNT_CLOEXEC, 0)), "mount", type);
  } finally {
    libc.close(context);
  }
}
