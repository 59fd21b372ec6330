import { errnoOf, systemError } from "./error.ts";

/**
 * Sends a signal by its kernel number to a pid that the caller knows to be no other process's: a child that it has not
 * reaped, a member of a cgroup that it has just read. Throws NOT_FOUND when it is gone.
 */
export function signalPid(pid: number, signal: number): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    throw systemError(errnoOf(error) ?? "EINVAL", { operation: "signal", object: `process ${pid}` });
  }
}
