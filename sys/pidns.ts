import { closeSync, openSync } from "node:fs";
import { check, libc } from "./libc.ts";

/** linux/sched.h */
const CLONE_NEWPID = 0x2000_0000;

/**
 * Runs `fork`, which must start exactly one child before it returns; that child is process 1 of a new PID namespace.
 * Children started later are where this process is, as before (pid_namespaces(7)).
 */
export function inNewPidNamespace<T>(fork: () => T): T {
  const own = openSync("/proc/self/ns/pid", "r");
  try {
    check(libc.unshare(CLONE_NEWPID), "make", "PID namespace");
    try {
      return fork();
    } finally {
      check(libc.setns(own, CLONE_NEWPID), "go back to", "the PID namespace");
    }
  } finally {
    closeSync(own);
  }
}
