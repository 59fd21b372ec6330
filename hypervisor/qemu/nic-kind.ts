import type { Deadline } from "../../sys/deadline.ts";
import type { VmNic } from "../hypervisor.ts";
import type { QmpClient } from "../qmp/client.ts";
import { networkDevice } from "./devices.ts";
import type { DeviceKind } from "./hotplug.ts";
import { netdevOf } from "./netdev.ts";
import { closeNamed, type Plugging, plugInSteps } from "./plugging.ts";
import { releaseDevice, unlessGone } from "./release-device.ts";

/** NICs: a tap, a netdev on it, and a virtio-net device. */
export const nicKind: DeviceKind<VmNic> = {
  name: "NIC",
  faultOf({ tapFds, vhostFds }) {
    if (tapFds.length === 0) return "it has no tap";
    return vhostFds.length > 0 && vhostFds.length !== tapFds.length
      ? "it does not have one vhost descriptor for each queue"
      : undefined;
  },
  plug: plugNic,
  async unplug(qmp, id, deadline) {
    await releaseDevice(qmp, id, deadline);
    // Closes QEMU's descriptors.
    await unlessGone(qmp.execute("netdev_del", { id: netdevOf(id) }, deadline));
  },
};

/** Makes QEMU take copies of the descriptors, put a netdev on them, and a NIC on the root port. */
async function plugNic(qmp: QmpClient, nic: VmNic, port: string, deadline: Deadline): Promise<Plugging> {
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
  const steps = async (): Promise<void> => {
    const fds = await pass("tap", nic.tapFds);
    const vhost =
      nic.vhostFds.length === 0 ? {} : { vhost: true, vhostfds: await pass("vhost", nic.vhostFds) };
    await qmp.execute("netdev_add", { type: "tap", id: netdev, fds, ...vhost }, deadline);
    const device = { id: nic.id, netdev, mac: nic.mac, port, queues: nic.tapFds.length };
    await qmp.execute("device_add", networkDevice(device), deadline);
  };
  return plugInSteps(nic.id, fdNames, steps, async (limit) => {
    // What did not come so far is not there to be removed.
    await qmp.execute("netdev_del", { id: netdev }, limit).catch(() => undefined);
    await closeNamed(qmp, fdNames, limit);
  });
}
