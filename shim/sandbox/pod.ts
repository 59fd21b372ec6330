import type { Deadline } from "../../sys/deadline.ts";
import type { Ledger } from "../../sys/ledger.ts";
import type { GuestContainers } from "../containers-client.ts";
import type { Log } from "../log.ts";
import type { SandboxSpec } from "./bundle.ts";
import type { PodSize } from "./pod-size.ts";
import type { WorkloadStorage } from "./workload-storage.ts";

/**
 * One pod's VM with all that belongs to it, as the Task service sees it. The service keeps the states; a pod is asked
 * for each thing in order: create, start, stop, close. It never waits for ever: each call has its deadline.
 */
export interface Pod {
  /**
   * Brings the VM up and configures the guest. The deadline's signal aborts it. When it rejects, all that was
   * acquired is undone already.
   */
  create(deadline: Deadline): Promise<CreatedPod>;
  /** Nothing needs to run in the guest for the sandbox container; here is where a pod may still do something. */
  start(deadline: Deadline): Promise<void>;
  /** Ends the guest gently, kills the VM when that takes too long. Resolves when the VM is gone. */
  stop(deadline: Deadline): Promise<void>;
  /**
   * Undoes what is left, the VM included. Called once the VM is gone; called again when it rejected.
   * Unwinding has its own deadline.
   */
  close(): Promise<void>;
}

export interface CreatedPod {
  /** QEMU's: containerd looks at it. */
  readonly pid: number;
  /** Resolves, never rejects, when the VM is gone: asked for or not. */
  readonly exited: Promise<PodExit>;
  readonly guest: PodGuest;
}

/** A pod's guest as its containers need it. */
export interface PodGuest {
  readonly containers: GuestContainers;
  readonly storage: WorkloadStorage;
  readonly size: PodSize;
  /** The pod's: what is acquired for a container goes with the pod at the latest. */
  readonly ledger: Ledger;
  /** Milliseconds for a container's creation, and for every other question to the guest. */
  readonly limits: { readonly createMs: number; readonly requestMs: number };
}

export interface PodExit {
  /** Exit status to report when nobody asked the pod to stop: 128 + signal of QEMU, else 255. */
  readonly status: number;
  /** For the log: why the VM ended. */
  readonly reason: string;
}

/** What a pod is made from. */
export interface PodContext {
  readonly spec: SandboxSpec;
  /** `ConfigPath` of containerd's runtime options; "" when there is none. */
  readonly configPath: string;
  /** Milliseconds since the epoch when containerd called the shim: where the timeline starts. */
  readonly calledAtMs: number;
  readonly log: Log;
  /** Makes `log` write debug lines, too: containerd was not asked for them, the pod's configuration was. */
  readonly showDebug: () => void;
  /** Called when something cannot be undone in this process; only its `delete` can. */
  readonly onHelpless: (error: unknown) => void;
}

/** Makes the owner of a pod; acquires nothing yet. */
export type OpenPod = (context: PodContext) => Pod;
