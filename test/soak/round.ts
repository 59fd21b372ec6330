import { setTimeout as pause } from "node:timers/promises";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import { reasonOf } from "../../sys/error.ts";
import { listProcesses } from "../../sys/inventory/processes.ts";
import type { TestNode } from "../harness/node.ts";
import type { Workloads } from "../harness/workload.ts";
import { lifeOfPod } from "./cycle.ts";
import type { Elder } from "./elder.ts";
import { takeSample } from "./sample.ts";
import type { Figures } from "./trend.ts";

const REMOVE_MS = 300_000;
const LAST_ENDS_MS = 10_000;
const LOOK_AGAIN_MS = 50;

export interface Round {
  readonly figures: Figures | undefined;
  readonly failures: readonly string[];
}

/**
 * Lives of pods side by side, beside a life of the pod that stays; what is there when the others are gone. What fails (on a
 * starved machine a deadline may pass) is counted and removed: it must leave nothing, either.
 */
export async function round(
  node: TestNode,
  work: Workloads,
  elder: Elder,
  names: readonly string[],
): Promise<Round> {
  const failures: string[] = [];
  const [ofElder] = await Promise.all([
    elder.live().catch((error: unknown) => void failures.push(`${elder.name}: ${reasonOf(error)}`)),
    ...names.map(async (name) => {
      await lifeOfPod(node, work, name).catch((error: unknown) =>
        failures.push(`${name}: ${reasonOf(error)}`),
      );
    }),
  ]);
  if (failures.length > 0) await removeAllBut(node, elder.id, deadlineIn(REMOVE_MS, "remove what failed"));
  await fewProcesses(node, deadlineIn(LAST_ENDS_MS, "see the last processes end"));
  return { figures: ofElder === undefined ? undefined : { ...takeSample(node), ...ofElder }, failures };
}

async function removeAllBut({ crictl }: TestNode, kept: string, deadline: Deadline): Promise<void> {
  for (const id of (await crictl.pods(deadline)).filter((pod) => pod !== kept)) {
    await crictl.stopp(id, deadline);
    await crictl.rmp(id, deadline);
  }
}

/** containerd does not wait for the end of a pod's last process; nobody is told. */
async function fewProcesses(node: TestNode, deadline: Deadline): Promise<void> {
  let last = Number.POSITIVE_INFINITY;
  let same = 0;
  while (same < 3 && deadline.remainingMs() > LOOK_AGAIN_MS) {
    const now = listProcesses(node.mark).pids.length;
    same = now === last ? same + 1 : 0;
    last = now;
    await pause(LOOK_AGAIN_MS);
  }
}
