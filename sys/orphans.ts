import type { ChildProcess } from "node:child_process";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { type EventEmitter, errorMonitor } from "node:events";
import { readdirSync } from "node:fs";
import { readProc } from "./identity.ts";
import { check, libc } from "./libc.ts";

const PR_SET_CHILD_SUBREAPER = 36;
const WNOHANG = 1;

/** Gets the pid and the status (wait(2)) of each orphan that was reaped. */
export type OnReaped = (pid: number, status: number) => void;

/** Node tells here of every ChildProcess, whoever starts it (diagnostics_channel, "child_process"). */
const CHANNEL = "child_process";

/** Processes that libuv waits for: taking one away from it would lose its exit code. */
const awaited = new Set<ChildProcess>();

function onStart(message: unknown): void {
  // The pid comes a moment later, in the same turn: nothing is reaped in between.
  const { process: child } = message as { process: ChildProcess };
  awaited.add(child);
  const forget = (): void => {
    awaited.delete(child);
  };
  child.once("exit", forget);
  // A program that is not there has no exit. Who started it is told as if nobody listened here.
  const emitter: EventEmitter = child;
  emitter.on(errorMonitor, () => child.pid === undefined && forget());
}

/**
 * Makes this process the parent of whatever its children leave behind (prctl(2), PR_SET_CHILD_SUBREAPER), and reaps
 * those when they end. Call it once, before the first child is started. Throws when the kernel refuses.
 */
export function adoptOrphans(): Disposable {
  const reaping = reapOrphans();
  check(libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "become the parent of", "orphans");
  return reaping;
}

/**
 * Reaps orphans that ended, now and whenever a child ends: for the first process of a guest, which inherits every orphan.
 * Processes started from here on by node:child_process stay Node's: libuv waits for each of them by pid.
 */
export function reapOrphans(onReaped?: OnReaped): Disposable {
  const onChild = (): void => {
    reap(childrenOfSelf, onReaped);
  };
  subscribe(CHANNEL, onStart);
  process.on("SIGCHLD", onChild);
  onChild();
  return {
    [Symbol.dispose]: () => {
      process.off("SIGCHLD", onChild);
      unsubscribe(CHANNEL, onStart);
    },
  };
}

/** Waits for each ended child that is not Node's; returns their pids. */
export function reap(children: () => readonly number[] = childrenOfSelf, onReaped?: OnReaped): number[] {
  const reaped: number[] = [];
  const status = [0];
  for (;;) {
    // Signals coalesce and the list is a snapshot: look again until a round finds nothing.
    const own = new Set(Array.from(awaited, ({ pid }) => pid));
    const round = children().filter((pid) => {
      if (own.has(pid) || libc.waitpid(pid, status, WNOHANG) !== pid) return false;
      onReaped?.(pid, status[0] ?? 0);
      return true;
    });
    if (round.length === 0) return reaped;
    reaped.push(...round);
  }
}

/** Children of this process, ended ones included; orphans are given to its main thread. */
export function childrenOfSelf(): number[] {
  const list = readProc(`/proc/self/task/${process.pid}/children`);
  if (list !== undefined) return list.split(" ").filter(Boolean).map(Number);
  // Kernels without CONFIG_PROC_CHILDREN (Debian's has it): the parent is the second field after the name.
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => parentOf(readProc(`/proc/${pid}/stat`) ?? "") === process.pid);
}

function parentOf(stat: string): number {
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
}
