import type { ChildProcess } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { errnoOf } from "../../sys/error.ts";
import { libc } from "../../sys/libc.ts";

const WNOHANG = 1;

/** Pids that libuv waits for: taking one away from it would lose its exit code. */
const awaited = new Set<number>();

/** Every process the agent starts must pass here in the same turn as its spawn. */
export function keepForNode<Child extends Pick<ChildProcess, "pid" | "once">>(child: Child): Child {
  const { pid } = child;
  if (pid === undefined) return child;
  awaited.add(pid);
  child.once("exit", () => awaited.delete(pid));
  return child;
}

/** Reaps orphans that ended, now and whenever a child ends. The first process inherits every orphan of the guest. */
export function reapOrphans(): Disposable {
  const onChild = (): void => {
    reap();
  };
  process.on("SIGCHLD", onChild);
  reap();
  return { [Symbol.dispose]: () => process.off("SIGCHLD", onChild) };
}

/** Waits for each ended child that is not Node's; returns their pids. */
export function reap(children: () => readonly number[] = childrenOfSelf): number[] {
  const reaped: number[] = [];
  const status = [0];
  for (;;) {
    // Signals coalesce and the list is a snapshot: look again until a round finds nothing.
    const round = children().filter((pid) => !awaited.has(pid) && libc.waitpid(pid, status, WNOHANG) === pid);
    if (round.length === 0) return reaped;
    reaped.push(...round);
  }
}

/** Children of this process, ended ones included; orphans are given to its main thread. */
export function childrenOfSelf(): number[] {
  const list = read(`/proc/self/task/${process.pid}/children`);
  if (list !== undefined) return list.split(" ").filter(Boolean).map(Number);
  // Kernels without CONFIG_PROC_CHILDREN (Debian's has it): the parent is the second field after the name.
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => parentOf(read(`/proc/${pid}/stat`) ?? "") === process.pid);
}

function parentOf(stat: string): number {
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1");
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT" || errno === "ESRCH") return undefined;
    throw error;
  }
}
