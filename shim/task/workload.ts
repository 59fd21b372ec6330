import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import type { Log } from "../log.ts";
import type { PodGuest } from "../sandbox/pod.ts";
import type { StdioAddresses } from "../stdio/open.ts";
import type { Publisher } from "./events.ts";
import type { PodPids } from "./pod-pids.ts";
import { openProcess, type TaskProcess } from "./process.ts";

/** A container and where it lives: what its parts share. */
export interface Workload {
  readonly id: string;
  readonly bundle: string;
  readonly namespace: string;
  /** QEMU's: every process of the VM is that one to the host. */
  readonly pid: number;
  readonly guest: PodGuest;
  readonly pids: PodPids;
  readonly publisher: Publisher;
  readonly log: Log;
  /** Ends the VM, whatever the guest does; resolves once it has ended. */
  endPod(): Promise<void>;
}

/** What a process that was killed reports: 128 + SIGKILL. */
export const KILLED = 137;

/** The time for one ordinary question to the guest, or for one that takes longer. */
export function asking({ id, guest }: Workload, verb: string, ms = guest.limits.requestMs): Deadline {
  return deadlineIn(ms, `${verb} container ${id}`);
}

/** A process of the container whose end is published; without exec id its init. */
export function workloadProcess(
  workload: Workload,
  execId: string,
  stdio: StdioAddresses,
  beforeExit: (oomKilled: boolean) => Promise<void>,
): TaskProcess {
  const { id, bundle, namespace, pid, guest, publisher, log } = workload;
  return openProcess({
    object: execId === "" ? `container ${id}` : `exec ${execId} of container ${id}`,
    key: { containerId: id, execId },
    stdio,
    namespace,
    bundle: execId === "" ? bundle : undefined,
    pid,
    guest,
    log,
    beforeExit,
    onExit({ status, exitedAtMs }) {
      const exitedAt = new Date(exitedAtMs);
      publisher.publish("exit", { containerId: id, id: execId || id, pid, exitStatus: status, exitedAt });
    },
  });
}
