import type { QmpClient } from "../qmp/client.ts";
import { memoryDevice } from "./devices.ts";
import type { DeviceKind } from "./hotplug.ts";
import { plugInSteps } from "./plugging.ts";
import { releaseDevice, unlessGone } from "./release-device.ts";

const MIB = 1024 * 1024;

/** Memory of which the guest has as much as was asked for. */
export interface ElasticMemory {
  /** QEMU id, unique within the VM: letters, digits, "-". */
  readonly id: string;
  /** What it can grow to: addresses, nothing else, until the guest writes to them. */
  readonly sizeMiB: number;
  readonly requestedMiB: number;
}

/** virtio-mem: a nameless file, shared as all memory of the guest is, and a device. QEMU 7.2 never lets it go again. */
export const memoryKind: DeviceKind<ElasticMemory> = {
  name: "memory",
  faultOf: ({ sizeMiB, requestedMiB }) =>
    requestedMiB <= sizeMiB ? undefined : `${requestedMiB} MiB of ${sizeMiB} are asked for`,
  plug(qmp, { id, sizeMiB, requestedMiB }, port, deadline) {
    const memdev = backendOf(id);
    const steps = async (): Promise<void> => {
      const backend = {
        "qom-type": "memory-backend-memfd",
        id: memdev,
        size: sizeMiB * MIB,
        share: true,
      } as const;
      await qmp.execute("object-add", backend, deadline);
      await qmp.execute("device_add", memoryDevice({ id, memdev, port, requestedMiB }), deadline);
    };
    return plugInSteps(id, [], steps, (limit) => removeBackend(qmp, id, limit).catch(() => undefined));
  },
  async unplug(qmp, id, deadline) {
    await releaseDevice(qmp, id, deadline);
    await removeBackend(qmp, id, deadline);
  },
};

function removeBackend(qmp: QmpClient, id: string, deadline: Parameters<QmpClient["execute"]>[2]) {
  return unlessGone(qmp.execute("object-del", { id: backendOf(id) }, deadline));
}

function backendOf(memory: string): string {
  return `${memory}-file`;
}
