import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import type { ProcessExit } from "../process/exits.ts";
import type { Process } from "../process/process.ts";

/** The life of a container, as the OCI runtime specification tells it, and the steps between. */
export type ContainerState =
  | { readonly kind: "creating" }
  | { readonly kind: "created"; readonly init: Process }
  | { readonly kind: "starting"; readonly init: Process }
  | { readonly kind: "running"; readonly init: Process }
  | { readonly kind: "pausing"; readonly init: Process }
  | { readonly kind: "paused"; readonly init: Process }
  | { readonly kind: "resuming"; readonly init: Process }
  | { readonly kind: "stopped"; readonly init: Process; readonly exit: ProcessExit }
  | { readonly kind: "removing"; readonly init: Process | undefined };

export type ContainerEvent =
  | { readonly kind: "created"; readonly init: Process }
  | { readonly kind: "start" | "started" | "pause" | "paused" | "resume" | "resumed" }
  /** A step that failed: back to where it began. */
  | { readonly kind: "failed" }
  | { readonly kind: "exited"; readonly exit: ProcessExit }
  | { readonly kind: "remove" };

/** The only way from one state to the next. Throws FAILED_PRECONDITION for what the state does not allow. */
export function nextState(state: ContainerState, event: ContainerEvent, id: string): ContainerState {
  // It ends when it ends, whatever was going on; and it can be removed at any time.
  if (event.kind === "remove") return { kind: "removing", init: initOf(state) };
  if (state.kind === "removing") return state;
  if (event.kind === "exited") {
    const init = initOf(state);
    return init === undefined ? state : { kind: "stopped", init, exit: event.exit };
  }
  const next = step(state, event);
  // The end of a step that an exit was quicker than changes nothing.
  if (next === undefined && state.kind === "stopped" && !isRequest(event.kind)) return state;
  if (next === undefined) throw notAllowed(id, event.kind, state.kind);
  return next;
}

function step(state: ContainerState, event: ContainerEvent): ContainerState | undefined {
  switch (state.kind) {
    case "creating":
      return event.kind === "created" ? { kind: "created", init: event.init } : undefined;
    case "created":
      return event.kind === "start" ? { kind: "starting", init: state.init } : undefined;
    case "starting":
      if (event.kind === "started") return { kind: "running", init: state.init };
      return event.kind === "failed" ? { kind: "created", init: state.init } : undefined;
    case "running":
      return event.kind === "pause" ? { kind: "pausing", init: state.init } : undefined;
    case "pausing":
      if (event.kind === "paused") return { kind: "paused", init: state.init };
      return event.kind === "failed" ? { kind: "running", init: state.init } : undefined;
    case "paused":
      return event.kind === "resume" ? { kind: "resuming", init: state.init } : undefined;
    case "resuming":
      if (event.kind === "resumed") return { kind: "running", init: state.init };
      return event.kind === "failed" ? { kind: "paused", init: state.init } : undefined;
    case "stopped":
    case "removing":
      return undefined;
  }
}

export function initOf(state: ContainerState): Process | undefined {
  return state.kind === "creating" ? undefined : state.init;
}

function isRequest(kind: ContainerEvent["kind"]): boolean {
  return kind === "start" || kind === "pause" || kind === "resume";
}

function notAllowed(id: string, wanted: string, is: string): TapirError {
  return new TapirError({
    code: Code.FAILED_PRECONDITION,
    operation: wanted,
    object: `container ${id}`,
    cause: `it is ${is}`,
  });
}
