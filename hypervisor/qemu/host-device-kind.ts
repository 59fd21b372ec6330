import { pciDevice } from "../../sys/pci/device.ts";
import { VFIO_PCI } from "../../sys/pci/driver.ts";
import { setMemoryLock } from "../../sys/prlimit.ts";
import type { VmHostDevice, VmSpec } from "../hypervisor.ts";
import { hostDevice } from "./devices.ts";
import type { DeviceKind } from "./hotplug.ts";
import { plugInSteps } from "./plugging.ts";
import { releaseDevice } from "./release-device.ts";
import { deviceFolder, hideDevice, showDevice } from "./show-device.ts";

const MIB = 1024 * 1024;
/** Beside the guest's memory and image: what else a guest's devices have mapped. */
const OTHER_MIB = 1024;

/**
 * Devices of the node, by vfio-pci. The device may write to all memory of the guest at any time, so that QEMU locks all of it
 * from then on, what was not touched so far included.
 */
export function hostDeviceKind(
  pid: number,
  spec: Pick<VmSpec, "memoryMiB" | "most">,
): DeviceKind<VmHostDevice> {
  const shown = new Map<string, VmHostDevice>();
  const hide = (id: string): void => {
    const device = shown.get(id);
    if (device !== undefined) hideDevice(pid, device);
    shown.delete(id);
  };
  return {
    name: "device",
    faultOf({ address, group }) {
      const found = pciDevice(address);
      return found?.driver === VFIO_PCI && found.group === group
        ? undefined
        : `${address} is not with ${VFIO_PCI}`;
    },
    async plug(qmp, device, port, deadline) {
      const mebibytes = Math.max(spec.memoryMiB, spec.most?.memoryMiB ?? 0) + OTHER_MIB;
      setMemoryLock(pid, mebibytes * MIB);
      await showDevice(pid, device);
      shown.set(device.id, device);
      const { id } = device;
      const steps = () =>
        qmp.execute("device_add", hostDevice({ id, port, folder: deviceFolder(device) }), deadline);
      return plugInSteps(id, [], steps, async () => hide(id));
    },
    async unplug(qmp, id, deadline) {
      await releaseDevice(qmp, id, deadline);
      hide(id);
    },
  };
}
