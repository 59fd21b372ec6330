import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import type { Exit } from "./state.ts";

/** Where a process of a container, its init or an exec, is in its life. */
export type ProcessState =
  /** Known; nothing runs yet. The init process is there and waits. */
  | { readonly name: "created" }
  /** The guest was told; `exit` is there once the process ended before its start was reported. */
  | { readonly name: "starting"; readonly exit?: Exit }
  | { readonly name: "running" }
  | { readonly name: "stopped"; readonly exit: Exit }
  | { readonly name: "deleted" };

/** What happens to a process. */
export type ProcessEvent =
  | { readonly name: "start" }
  /** The guest has started it. */
  | { readonly name: "started" }
  /** The guest could not start it; it is as before. */
  | { readonly name: "failed" }
  | { readonly name: "exited"; readonly exit: Exit }
  | { readonly name: "delete" };

/**
 * The state after `event`. Synchronous: nobody ever sees a state in between. An exit during the start is kept and
 * becomes visible with it: nobody hears of an end before the start. A second exit changes nothing.
 * Throws FAILED_PRECONDITION naming both when the event cannot happen now.
 */
export function processAfter(object: string, state: ProcessState, event: ProcessEvent): ProcessState {
  switch (event.name) {
    case "start":
      if (state.name === "created") return { name: "starting" };
      break;
    case "started":
      if (state.name === "starting") return afterStart(state, { name: "running" });
      break;
    case "failed":
      if (state.name === "starting") return afterStart(state, { name: "created" });
      break;
    case "exited":
      if (state.name === "starting") return { name: "starting", exit: state.exit ?? event.exit };
      if (state.name === "created" || state.name === "running") return { name: "stopped", exit: event.exit };
      return state;
    case "delete":
      if (state.name === "stopped" || state.name === "created") return { name: "deleted" };
      break;
  }
  throw new TapirError({
    code: Code.FAILED_PRECONDITION,
    operation: verbs[event.name],
    object,
    cause: `it is ${state.name}`,
    ...(event.name === "delete" ? { hint: "stop it first" } : {}),
  });
}

function afterStart(state: { readonly exit?: Exit }, next: ProcessState): ProcessState {
  return state.exit === undefined ? next : { name: "stopped", exit: state.exit };
}

const verbs = {
  start: "start",
  started: "finish the start of",
  failed: "give up the start of",
  exited: "end",
  delete: "delete",
} as const satisfies Record<ProcessEvent["name"], string>;
