import { fstatSync } from "node:fs";
import type { Deadline } from "../../sys/deadline.ts";
import type { QmpClient } from "../qmp/client.ts";
import type { VmDisk } from "../storage.ts";
import { diskDevice } from "./devices.ts";
import type { DeviceKind } from "./hotplug.ts";
import { plugInSteps } from "./plugging.ts";
import { releaseDevice, unlessGone } from "./release-device.ts";

/** virtio-blk gives the guest no more of it. */
const MAX_SERIAL_BYTES = 20;

/**
 * Disks: a descriptor set, a block node that opens it, and a virtio-blk device. QEMU needs no access to any path.
 * Sets are numbered; one kind belongs to one VM.
 */
export function createDiskKind(): DeviceKind<VmDisk> {
  const sets = new Map<string, number>();
  let lastSet = 0;
  const setOf = (id: string): number => {
    const set = sets.get(id) ?? ++lastSet;
    sets.set(id, set);
    return set;
  };
  const removeBackend = async (qmp: QmpClient, id: string, deadline: Deadline): Promise<void> => {
    await unlessGone(qmp.execute("blockdev-del", { "node-name": nodeOf(id) }, deadline));
    await unlessGone(qmp.execute("remove-fd", { "fdset-id": setOf(id) }, deadline));
    sets.delete(id);
  };
  return {
    name: "disk",
    faultOf: ({ fd, serial }) => wrongSerial(serial) ?? wrongFile(fd),
    plug: (qmp, disk, port, deadline) =>
      plugInSteps(disk.id, [], plugDisk(qmp, disk, setOf(disk.id), port, deadline), (limit) =>
        removeBackend(qmp, disk.id, limit).catch(() => undefined),
      ),
    async unplug(qmp, id, deadline) {
      await releaseDevice(qmp, id, deadline);
      await removeBackend(qmp, id, deadline);
    },
  };
}

function plugDisk(
  qmp: QmpClient,
  { id, fd, serial, readOnly }: VmDisk,
  set: number,
  port: string,
  deadline: Deadline,
): () => Promise<void> {
  return async () => {
    await qmp.execute("add-fd", { "fdset-id": set, opaque: id }, deadline, [fd]);
    const discard = readOnly ? "ignore" : "unmap";
    const file = {
      driver: fstatSync(fd).isBlockDevice() ? "host_device" : "file",
      filename: `/dev/fdset/${set}`,
      // Readers may be many: layers of an image. Of writers there is one.
      locking: readOnly ? "off" : "auto",
      discard,
    } as const;
    const node = { driver: "raw", "node-name": nodeOf(id), "read-only": readOnly, discard, file } as const;
    await qmp.execute("blockdev-add", node, deadline);
    await qmp.execute("device_add", diskDevice({ id, drive: nodeOf(id), serial, port }), deadline);
  };
}

function wrongSerial(serial: string): string | undefined {
  return /^[A-Za-z0-9_.-]{1,20}$/.test(serial)
    ? undefined
    : `its serial is not 1 to ${MAX_SERIAL_BYTES} letters, digits, "_", "." and "-"`;
}

function wrongFile(fd: number): string | undefined {
  const stat = fstatSync(fd);
  return stat.isFile() || stat.isBlockDevice() ? undefined : "it is neither a file nor a block device";
}

function nodeOf(disk: string): string {
  return `${disk}-node`;
}
