import type { ChildProcess } from "node:child_process";
import { subscribe } from "node:diagnostics_channel";
import { readdirSync } from "node:fs";
import { readProc } from "./identity.ts";
import { check, libc } from "./libc.ts";

const PR_SET_CHILD_SUBREAPER = 36;
const WNOHANG = 1;

/**
 * Makes this process the parent of whatever its children leave behind (prctl(2), PR_SET_CHILD_SUBREAPER), and reaps
 * those when they end. Children that Node started are left to Node: libuv waits for each of them by pid.
 * Call it once, before the first child is started. Throws when the kernel refuses.
 */
export function adoptOrphans(): void {
  const ofNode = new Set<ChildProcess>();
  // The event comes before the child has a pid, so none can end unseen.
  subscribe("child_process", (message) => {
    const { process: child } = message as { process: ChildProcess };
    ofNode.add(child);
    child.once("exit", () => ofNode.delete(child));
    child.once("error", () => {
      if (child.pid === undefined) ofNode.delete(child);
    });
  });
  check(libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "become the parent of", "orphans");
  process.on("SIGCHLD", () => {
    const kept = new Set([...ofNode].map(({ pid }) => pid));
    // Signals coalesce: every ended child is looked for, not only one.
    for (const pid of children()) if (!kept.has(pid)) libc.waitpid(pid, [0], WNOHANG);
  });
}

/** Orphans become children of the main thread, whatever thread forked them. */
function children(): number[] {
  const list = readProc(`/proc/self/task/${process.pid}/children`);
  if (list !== undefined) return list.split(" ").filter(Boolean).map(Number);
  // Without CONFIG_PROC_CHILDREN.
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => parentOf(readProc(`/proc/${pid}/stat`) ?? "") === process.pid);
}

/** The second field after the command's name (proc(5)). */
function parentOf(stat: string): number {
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
}
