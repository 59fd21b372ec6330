import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";

/** How a process ended. */
export interface Exit {
  /** 0 to 255; 128 + n after signal n. */
  readonly status: number;
  readonly exitedAt: Date;
}

/** Where a sandbox is in its life. */
export type SandboxState =
  | { readonly name: "creating" }
  | { readonly name: "created"; readonly pid: number }
  | { readonly name: "running"; readonly pid: number }
  /** Asked to end; `pid` is there once its VM was. */
  | { readonly name: "stopping"; readonly pid: number | undefined; readonly signal: number }
  | { readonly name: "stopped"; readonly pid: number; readonly exit: Exit }
  | { readonly name: "deleted" };

/** What happens to a sandbox. */
export type SandboxEvent =
  /** The VM runs and the guest is configured. */
  | { readonly name: "created"; readonly pid: number }
  /** Creating did not succeed; all is undone. */
  | { readonly name: "failed" }
  | { readonly name: "start" }
  | { readonly name: "stop"; readonly signal: number }
  /** The VM is gone. */
  | { readonly name: "exited"; readonly exit: Exit }
  | { readonly name: "delete" };

/**
 * The state after `event`. Synchronous: nobody ever sees a state in between.
 * Throws FAILED_PRECONDITION naming both when the event cannot happen now; NOT_FOUND to stop what has ended.
 */
export function transition(id: string, state: SandboxState, event: SandboxEvent): SandboxState {
  switch (event.name) {
    case "created":
      if (state.name === "creating") return { name: "created", pid: event.pid };
      // Told to stop meanwhile: the caller stops the VM it has just got.
      if (state.name === "stopping" && state.pid === undefined) return { ...state, pid: event.pid };
      break;
    case "failed":
      if (state.name === "creating" || (state.name === "stopping" && state.pid === undefined)) {
        return { name: "deleted" };
      }
      break;
    case "start":
      if (state.name === "created") return { name: "running", pid: state.pid };
      break;
    case "stop":
      if (state.name === "creating") return { name: "stopping", pid: undefined, signal: event.signal };
      if (state.name === "created" || state.name === "running") {
        return { name: "stopping", pid: state.pid, signal: event.signal };
      }
      // A second signal changes nothing: the first one's status is what is reported.
      if (state.name === "stopping") return state;
      break;
    case "exited":
      if (state.name === "created" || state.name === "running") {
        return { name: "stopped", pid: state.pid, exit: event.exit };
      }
      if (state.name === "stopping" && state.pid !== undefined) {
        return { name: "stopped", pid: state.pid, exit: event.exit };
      }
      break;
    case "delete":
      if (state.name === "stopped") return { name: "deleted" };
      break;
  }
  throw illegal(id, state, event);
}

const verbs = {
  created: "finish creating",
  failed: "give up creating",
  start: "start",
  stop: "stop",
  exited: "end",
  delete: "delete",
} as const satisfies Record<SandboxEvent["name"], string>;

function illegal(id: string, state: SandboxState, event: SandboxEvent): TapirError {
  const ended = state.name === "stopped" || state.name === "deleted";
  return new TapirError({
    code: event.name === "stop" && ended ? Code.NOT_FOUND : Code.FAILED_PRECONDITION,
    operation: verbs[event.name],
    object: `sandbox ${id}`,
    cause: `it is ${state.name}`,
    ...(event.name === "delete" ? { hint: "stop it first" } : {}),
  });
}
