import { errnoOf, systemError } from "../../sys/error.ts";

/**
 * Sends a signal by its kernel number to a process that only this agent reaps: as long as it has not told the exit, the
 * pid is nobody else's. Throws NOT_FOUND when it is gone.
 */
export function signalPid(pid: number, signal: number): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    throw systemError(errnoOf(error) ?? "EINVAL", { operation: "signal", object: `process ${pid}` });
  }
}
