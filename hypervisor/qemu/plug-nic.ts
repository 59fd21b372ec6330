import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import type { VmNic } from "../hypervisor.ts";
import type { QmpClient } from "../qmp/client.ts";
import { qmpFailureOf } from "../qmp/failure.ts";
import { networkDevice } from "./devices.ts";
import { netdevOf } from "./netdev.ts";

/** Undoing has its own time: the caller's may be what ran out. */
const CLEAN_UP_MS = 2000;

/** What became of a NIC that was to be plugged. */
export type Plugging =
  | { readonly state: "plugged" }
  /** Nothing of it is left in QEMU. */
  | { readonly state: "refused"; readonly failure: unknown }
  /** QEMU did not answer in time: it may still do what it was told. `fdNames` are the descriptors it may have. */
  | { readonly state: "unknown"; readonly failure: unknown; readonly fdNames: readonly string[] };

/** Makes QEMU take copies of the descriptors, put a netdev on them, and a NIC on the root port. */
export async function plugNic(
  qmp: QmpClient,
  nic: VmNic,
  port: string,
  deadline: Deadline,
): Promise<Plugging> {
  const fdNames: string[] = [];
  const pass = async (kind: string, fds: readonly number[]): Promise<string> => {
    const names = fds.map((_, queue) => `${kind}-${nic.id}-${queue}`);
    for (const [queue, fdname] of names.entries()) {
      fdNames.push(fdname);
      await qmp.execute("getfd", { fdname }, deadline, fds.slice(queue, queue + 1));
    }
    return names.join(":");
  };
  const netdev = netdevOf(nic.id);
  try {
    const fds = await pass("tap", nic.tapFds);
    const vhost =
      nic.vhostFds.length === 0 ? {} : { vhost: true, vhostfds: await pass("vhost", nic.vhostFds) };
    await qmp.execute("netdev_add", { type: "tap", id: netdev, fds, ...vhost }, deadline);
    const device = { id: nic.id, netdev, mac: nic.mac, port, queues: nic.tapFds.length };
    await qmp.execute("device_add", networkDevice(device), deadline);
    return { state: "plugged" };
  } catch (failure) {
    if (qmpFailureOf(failure) === undefined) return { state: "unknown", failure, fdNames };
    const limit = deadlineIn(CLEAN_UP_MS, `undo the plugging of ${nic.id}`);
    // What did not come so far is not there to be removed.
    await qmp.execute("netdev_del", { id: netdev }, limit).catch(() => undefined);
    await closeNamed(qmp, fdNames, limit);
    return { state: "refused", failure };
  }
}

/** Closes descriptors that no netdev took. Names that QEMU does not know (any more) are no error. */
export async function closeNamed(
  qmp: QmpClient,
  fdNames: readonly string[],
  deadline: Deadline,
): Promise<void> {
  for (const fdname of fdNames) await qmp.execute("closefd", { fdname }, deadline).catch(() => undefined);
}
