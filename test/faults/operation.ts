import type { Deadline } from "../../sys/deadline.ts";
import type { TestPod } from "../harness/workload.ts";
import type { Site } from "./site.ts";

/** What an operation is done to. */
export interface Subject {
  readonly pod?: TestPod;
  readonly netns?: string;
  readonly container?: string;
  /** What has been done to it by now. */
  readonly started?: boolean;
  readonly plugged?: boolean;
  readonly stopped?: boolean;
}

/** Something users do; a fault happens while `run` runs. */
export interface Operation {
  readonly name: string;
  /** Seconds until nothing more is to be expected; of a call, what it may take, of a wait, how long it is waited. */
  readonly limitSeconds: number;
  /** The same when the guest does not answer: its deadlines pass, and what was begun is taken back. */
  readonly muteSeconds?: number;
  /** Whether a container may have ended though its pod is ready: it was stopped first, or did not start. */
  readonly endsContainers?: boolean;
  /** Whether the pod gets its VM meanwhile. */
  readonly makesVm?: boolean;
  /** Nobody is called: it comes about by itself, and again after a failure that passes. */
  readonly waits?: boolean;
  /** Operations of one life can be done to one pod, one after the other. */
  readonly life: "containers" | "share" | "nics" | "network" | "link";
  /** Makes of what there is what the operation needs. */
  prepare(site: Site, deadline: Deadline, before: Subject): Promise<Subject>;
  /** Returns what is new. */
  run(site: Site, subject: Subject, deadline: Deadline): Promise<Subject>;
  /** Resolves when all is well again after a step that failed. */
  settled?(site: Site, subject: Subject, deadline: Deadline): Promise<void>;
  /** Takes away what was prepared and does not go with the pod. */
  tidy?(site: Site, deadline: Deadline): Promise<void>;
}
