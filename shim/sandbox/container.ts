import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import type { ProcessState } from "./process.ts";

/** Whether the processes of a container may run. */
export type Freezing = "thawed" | "freezing" | "frozen" | "thawing";

/** What happens to a container besides its processes' lives. */
export type ContainerEvent = "pause" | "paused" | "resume" | "resumed" | "failed";

/**
 * How frozen a container is after `event`. `init` is where its init process is: only what runs is paused.
 * Throws FAILED_PRECONDITION when the event cannot happen now.
 */
export function freezingAfter(
  id: string,
  { freezing, init }: { readonly freezing: Freezing; readonly init: ProcessState["name"] },
  event: ContainerEvent,
): Freezing {
  switch (event) {
    case "pause":
      if (init === "running" && freezing === "thawed") return "freezing";
      throw illegal(id, "pause", init === "running" ? phrases[freezing] : init);
    case "resume":
      if (init === "running" && freezing === "frozen") return "thawing";
      throw illegal(id, "resume", init === "running" ? phrases[freezing] : init);
    case "paused":
      return freezing === "freezing" ? "frozen" : freezing;
    case "resumed":
      return freezing === "thawing" ? "thawed" : freezing;
    case "failed":
      if (freezing === "freezing") return "thawed";
      return freezing === "thawing" ? "frozen" : freezing;
  }
}

/** Refuses a new process in a container that cannot take one. */
export function checkTakesProcess(
  id: string,
  { freezing, init }: { readonly freezing: Freezing; readonly init: ProcessState["name"] },
): void {
  if (init !== "running") throw illegal(id, "run a process in", init);
  if (freezing !== "thawed") throw illegal(id, "run a process in", phrases[freezing]);
}

const phrases = {
  thawed: "running",
  freezing: "being paused",
  frozen: "paused",
  thawing: "being resumed",
} as const satisfies Record<Freezing, string>;

function illegal(id: string, operation: string, condition: string): TapirError {
  return new TapirError({
    code: Code.FAILED_PRECONDITION,
    operation,
    object: `container ${id}`,
    cause: `it is ${condition}`,
  });
}
