import { readdirSync, readFileSync, readlinkSync, realpathSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { errnoOf } from "../error.ts";

/** What sysfs says of a device on the PCI bus (sysfs-bus-pci of the kernel's ABI documents). */
export interface PciDevice {
  /** "0000:01:00.0". */
  readonly address: string;
  /** Name of its driver; undefined when it has none. */
  readonly driver: string | undefined;
  /** Number of its IOMMU group; undefined where no IOMMU keeps it from the others. */
  readonly group: string | undefined;
}

/** Another mount of sysfs than /sys is a test's. */
export const SYSFS = "/sys";
const ADDRESS = /^[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/;
const BRIDGE_CLASSES = ["0x0604", "0x0600"];

/** The PCI device with this address; undefined when there is none. */
export function pciDevice(address: string, sysfs = SYSFS): PciDevice | undefined {
  const folder = join(sysfs, "bus/pci/devices", address);
  if (entriesOf(folder) === undefined) return undefined;
  return { address, driver: linked(folder, "driver"), group: linked(folder, "iommu_group") };
}

/** The PCI device that `name` on `bus` is, or lies on (a virtio device on its PCI function); undefined: it lies on another bus. */
export function pciDeviceBelow(bus: string, name: string, sysfs = SYSFS): PciDevice | undefined {
  let folder: string;
  try {
    folder = realpathSync(join(sysfs, "bus", bus, "devices", name));
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
  for (; folder.length > sysfs.length && folder !== "/"; folder = dirname(folder)) {
    const address = basename(folder);
    if (ADDRESS.test(address)) return pciDevice(address, sysfs);
  }
  return undefined;
}

/** What shares an IOMMU group with a device, bridges left out: only all of them together can be given to a VM. */
export function groupMates({ address, group }: PciDevice, sysfs = SYSFS): PciDevice[] {
  const names = entriesOf(join(sysfs, "kernel/iommu_groups", group ?? "", "devices")) ?? [];
  return names
    .filter((name) => name !== address && !isBridge(name, sysfs))
    .map((name) => pciDevice(name, sysfs) ?? { address: name, driver: undefined, group });
}

/** Whether the kernel has a driver of that name, by itself or loaded. */
export function hasPciDriver(driver: string, sysfs = SYSFS): boolean {
  return entriesOf(join(sysfs, "bus/pci/drivers", driver)) !== undefined;
}

function isBridge(address: string, sysfs: string): boolean {
  const text = readFileSync(join(sysfs, "bus/pci/devices", address, "class"), "latin1");
  return BRIDGE_CLASSES.includes(text.slice(0, 6));
}

function entriesOf(folder: string): string[] | undefined {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** What a link of a device's folder leads to. */
function linked(folder: string, name: string): string | undefined {
  try {
    return basename(readlinkSync(join(folder, name)));
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}
