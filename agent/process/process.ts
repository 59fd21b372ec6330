import type { ProcessExit } from "./exits.ts";
import type { ProcessIo } from "./process-io.ts";

/** A process that the host asked for: a container's init, or one beside it. */
export interface Process {
  /** In the guest's numbering. */
  readonly pid: number;
  readonly io: ProcessIo;
  /** Set once it has ended. */
  readonly exit: ProcessExit | undefined;
  readonly exited: Promise<ProcessExit>;
}
