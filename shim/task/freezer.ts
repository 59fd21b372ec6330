import { type ContainerEvent, type Freezing, freezingAfter } from "../sandbox/container.ts";
import type { ProcessState } from "../sandbox/process.ts";
import { asking, type Workload } from "./workload.ts";

/** Pauses and resumes a container. */
export interface Freezer {
  readonly freezing: Freezing;
  pause(): Promise<void>;
  resume(): Promise<void>;
}

/** `initState`: where the init process is now. */
export function openFreezer(workload: Workload, initState: () => ProcessState["name"]): Freezer {
  const { id, publisher, guest } = workload;
  let freezing: Freezing = "thawed";
  const step = (event: ContainerEvent): void => {
    freezing = freezingAfter(id, { freezing, init: initState() }, event);
  };
  const change = async (event: "pause" | "resume", ask: () => Promise<unknown>): Promise<void> => {
    step(event);
    try {
      await ask();
    } catch (error) {
      step("failed");
      throw error;
    }
    const done = event === "pause" ? "paused" : "resumed";
    step(done);
    publisher.publish(done, { containerId: id });
  };
  return {
    get freezing() {
      return freezing;
    },
    pause: () =>
      change("pause", () => guest.containers.pauseContainer({ containerId: id }, asking(workload, "pause"))),
    resume: () =>
      change("resume", () =>
        guest.containers.resumeContainer({ containerId: id }, asking(workload, "resume")),
      ),
  };
}
