import { readFileSync } from "node:fs";
import { errnoOf } from "./error.ts";

/** A process that cannot be confused with a later one of the same pid. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks since boot, field 22 of /proc/<pid>/stat (proc(5)). */
  readonly startTime: string;
}

/** Set before anything of a process that ends is closed (linux/sched.h). */
const PF_EXITING = 0x4;

/** The identity of a living process; undefined when it is gone or a zombie. */
export function identify(pid: number): ProcessIdentity | undefined {
  const [state, startTime] = statFields(pid, [0, 19]);
  if (startTime === undefined || state === "Z" || state === "X") return undefined;
  return { pid, startTime };
}

/** True for a process that has ended or begun to: what it had open may be closed for that reason. */
export function isEnding(pid: number): boolean {
  const [flags] = statFields(pid, [6]);
  return flags === undefined || (Number(flags) & PF_EXITING) !== 0;
}

/** Fields of /proc/<pid>/stat, counted from the state, which is 0; none when the process is gone. */
function statFields(pid: number, numbers: readonly number[]): (string | undefined)[] {
  const stat = readProc(`/proc/${pid}/stat`);
  if (stat === undefined) return [];
  // The command name is in parentheses and may hold anything: fields start after the last one.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return numbers.map((number) => fields[number]);
}

export function isAlive(identity: ProcessIdentity): boolean {
  return identify(identity.pid)?.startTime === identity.startTime;
}

/** A file below /proc; undefined when its process is gone. */
export function readProc(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1");
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT" || errno === "ESRCH" || errno === "EACCES") return undefined;
    throw error;
  }
}
