import type { Deadline } from "../../sys/deadline.ts";
import { codeOf } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import type { QueueProgress, VmNic } from "../hypervisor.ts";
import type { QmpClient } from "../qmp/client.ts";

/** Indexes of a virtqueue are 16 bit wide (virtio 1.2, 2.7). */
const INDEX_MASK = 0xffff;

/** Reads the used index of each queue: pair n receives by queue 2n and sends by queue 2n + 1 (virtio 1.2, 5.1.2). */
export async function queueProgress(
  qmp: Pick<QmpClient, "execute">,
  { id, tapFds, vhostFds }: Pick<VmNic, "id" | "tapFds" | "vhostFds">,
  deadline: Deadline,
): Promise<QueueProgress | undefined> {
  // The kernel moves the frames then, and QEMU's indexes stand still.
  if (vhostFds.length > 0) return undefined;
  const path = `/machine/peripheral/${id}/virtio-backend`;
  const used = async (queue: number): Promise<number> =>
    (await qmp.execute("x-query-virtio-queue-status", { path, queue }, deadline))["used-idx"];
  let received = 0;
  let sent = 0;
  try {
    for (const pair of tapFds.keys()) {
      received += await used(2 * pair);
      sent += await used(2 * pair + 1);
    }
  } catch (error) {
    if (codeOf(error) === Code.UNIMPLEMENTED) return undefined;
    throw error;
  }
  return { received: received & INDEX_MASK, sent: sent & INDEX_MASK };
}
