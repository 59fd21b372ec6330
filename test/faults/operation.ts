import type { Deadline } from "../../sys/deadline.ts";
import type { TestPod } from "../harness/workload.ts";
import type { Site } from "./site.ts";

/** What an operation is done to. */
export interface Subject {
  readonly pod?: TestPod;
  readonly netns?: string;
  readonly container?: string;
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
  /** Nobody is called: it comes about by itself, and again after a failure that passes. */
  readonly waits?: boolean;
  prepare(site: Site, deadline: Deadline): Promise<Subject>;
  run(site: Site, subject: Subject, deadline: Deadline): Promise<void>;
  /** Resolves when all is well again after a step that failed. */
  settled?(site: Site, subject: Subject, deadline: Deadline): Promise<void>;
  /** Takes away what was prepared and does not go with the pod. */
  tidy?(site: Site, deadline: Deadline): Promise<void>;
}
