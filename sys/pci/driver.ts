import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { errnoOf, TapirError, wrapError } from "../error.ts";
import { Code } from "../status.ts";
import { type PciDevice, pciDevice, SYSFS } from "./device.ts";

/** The driver that hands a device to a process: QEMU. */
export const VFIO_PCI = "vfio-pci";

/** How sysfs is written; a test's does what the kernel would do. */
export interface Sysfs {
  readonly root: string;
  write(path: string, text: string): Promise<void>;
}

/** In a thread of the pool: a driver may take seconds to let a device go. */
const kernelSysfs: Sysfs = { root: SYSFS, write: (path, text) => writeFile(path, text) };

/**
 * Takes a device from its driver and gives it to vfio-pci, which takes no other device of that kind. Errors: the kernel's;
 * FAILED_PRECONDITION when vfio-pci did not take it.
 */
export async function bindToVfio(device: PciDevice, sysfs: Sysfs = kernelSysfs): Promise<void> {
  const folder = join(sysfs.root, "bus/pci/devices", device.address);
  await written(sysfs, join(folder, "driver_override"), VFIO_PCI, device.address);
  if (device.driver !== undefined)
    await written(sysfs, join(folder, "driver/unbind"), device.address, device.address);
  await written(sysfs, join(sysfs.root, "bus/pci/drivers_probe"), device.address, device.address);
  const driver = pciDevice(device.address, sysfs.root)?.driver;
  if (driver === VFIO_PCI) return;
  throw new TapirError({
    code: Code.FAILED_PRECONDITION,
    operation: "hand over",
    object: `PCI device ${device.address}`,
    cause: `${VFIO_PCI} did not take it: it has ${driver === undefined ? "no driver" : `driver ${driver}`}`,
    hint: "the kernel's log says why",
  });
}

/** Gives a device back to `driver`, wherever on the way it is. One that is gone, or has its driver, is no error. */
export async function bindBack(address: string, driver: string, sysfs: Sysfs = kernelSysfs): Promise<void> {
  const device = pciDevice(address, sysfs.root);
  if (device === undefined) return;
  const folder = join(sysfs.root, "bus/pci/devices", address);
  // An empty line: any driver that knows it.
  await written(sysfs, join(folder, "driver_override"), "\n", address);
  if (device.driver === driver) return;
  if (device.driver !== undefined) await written(sysfs, join(folder, "driver/unbind"), address, address);
  await written(sysfs, join(sysfs.root, "bus/pci/drivers", driver, "bind"), address, address);
}

async function written(sysfs: Sysfs, path: string, text: string, address: string): Promise<void> {
  try {
    await sysfs.write(path, text);
  } catch (error) {
    const hint = errnoOf(error) === "EROFS" ? { hint: "the shim needs /sys to write to" } : {};
    const object = `${path}, for PCI device ${address}`;
    throw wrapError(error, { operation: "write to", object, ...hint });
  }
}
