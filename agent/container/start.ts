import { existsSync } from "node:fs";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import type { Process } from "../process/process.ts";
import { runCrun } from "./crun.ts";
import { CRUN_ROOT } from "./paths.ts";

/**
 * Lets a created container's init run its program. crun tells it through a fifo, which it takes away then, and waits there
 * for a reader: for ever when init is killed just before. Nothing comes of that start any more, so it is given up.
 */
export async function startInit(id: string, init: Process, deadline: Deadline): Promise<void> {
  const object = `container ${id}`;
  const killed = new AbortController();
  void init.exited.then(() => {
    // Without the fifo init was told, and crun is about to end.
    if (existsSync(`${CRUN_ROOT}/${id}/exec.fifo`)) killed.abort(endedBefore(object));
  });
  const parent = AbortSignal.any([deadline.signal, killed.signal]);
  using limit = deadlineIn(deadline.remainingMs(), `start ${object}`, parent);
  await runCrun(["start", id], object, limit);
}

function endedBefore(object: string): TapirError {
  return new TapirError({
    code: Code.FAILED_PRECONDITION,
    operation: "start",
    object,
    cause: "it has ended before it ran",
  });
}
