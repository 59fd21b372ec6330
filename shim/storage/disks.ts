import { readFileSync, statSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import type { VmStorage } from "../../hypervisor/storage.ts";
import type { Deadline } from "../../sys/deadline.ts";
import { errnoOf, TapirError, wrapError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import type { HostDevices } from "./device-plan.ts";

/** A disk of the guest: id for QEMU, serial for the guest, and name of the storage on it, all the same. */
export type DiskName = string;

/** The disks that the pod's containers brought. */
export interface Disks {
  /** Opens `path`, a file or block device, and plugs it. `device` is what must be there. Returns its name. */
  plug(
    path: string,
    options: { readonly readOnly: boolean; readonly device?: DeviceNumber },
    deadline: Deadline,
  ): Promise<DiskName>;
  /** The guest must have let go of it. May be tried again. */
  unplug(name: DiskName, deadline: Deadline): Promise<void>;
}

export interface DeviceNumber {
  readonly major: number;
  readonly minor: number;
}

export function createDisks(storage: VmStorage): Disks {
  let last = 0;
  return {
    async plug(path, { readOnly, device }, deadline) {
      const name = `disk-${++last}`;
      try {
        const file = await open(path, readOnly ? "r" : "r+");
        try {
          await check(file, device);
          await storage.attachDisk({ id: name, serial: name, fd: file.fd, readOnly }, deadline);
        } finally {
          await file.close();
        }
      } catch (error) {
        throw wrapError(error, { operation: "give the guest", object: path });
      }
      return name;
    },
    unplug: (name, deadline) => storage.detachDisk(name, deadline),
  };
}

/** Only what is a disk by its nature, and the one that was meant. */
async function check(file: FileHandle, device: DeviceNumber | undefined): Promise<void> {
  const stat = await file.stat();
  const right = device === undefined ? stat.isFile() || stat.isBlockDevice() : stat.isBlockDevice();
  if (right && (device === undefined || stat.rdev === deviceNumber(device))) return;
  throw new TapirError({
    code: Code.FAILED_PRECONDITION,
    operation: "use",
    object: "it as a disk",
    cause:
      device === undefined
        ? "it is neither a file nor a block device"
        : `it is not device ${device.major}:${device.minor}`,
  });
}

/** makedev(3) for the numbers that Linux has. */
export function deviceNumber({ major, minor }: DeviceNumber): number {
  return (minor & 0xff) + major * 0x100 + (minor - (minor & 0xff)) * 0x1000;
}

/** What this machine has below /dev. */
export const hostDevices: HostDevices = {
  pathOf(major, minor) {
    try {
      const text = readFileSync(`/sys/dev/block/${major}:${minor}/uevent`, "utf8");
      const name = /^DEVNAME=(.+)$/m.exec(text)?.[1];
      return name === undefined ? undefined : `/dev/${name}`;
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return undefined;
      throw error;
    }
  },
  isSame({ path, ...number }) {
    const stat = statSync(path, { throwIfNoEntry: false });
    return stat?.isBlockDevice() === true && stat.rdev === deviceNumber(number);
  },
};
