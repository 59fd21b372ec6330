import type { OciDevice, OciDeviceRule } from "./oci.ts";

/** Type and numbers of a device node. */
export interface DeviceNode {
  readonly type: string;
  readonly major: number;
  readonly minor: number;
}

export interface GuestDevices {
  readonly devices: readonly OciDevice[];
  readonly rules: readonly OciDeviceRule[];
  readonly ignored: string[];
}

/** Character devices with the same numbers on every Linux (Documentation/admin-guide/devices.txt). */
const STANDARD: ReadonlyMap<number, readonly number[] | "all"> = new Map<number, readonly number[] | "all">([
  // mem: null, zero, full, random, ...
  [1, "all"],
  // tty, console, ptmx
  [5, "all"],
  // misc: tun, fuse
  [10, [200, 229]],
  [136, "all"],
]);

/**
 * Devices and device rules inside the guest, whose numbers are not the host's: the same number may be a disk of the
 * host's there and the guest's own root here. A device of the spec is the disk that `disks` names for its path, or
 * what the guest itself has there (`find`); its rules get the new numbers. Rules for all devices stay.
 */
export function guestDevices(
  devices: readonly OciDevice[],
  rules: readonly OciDeviceRule[],
  disks: ReadonlyMap<string, DeviceNode>,
  find: (path: string) => DeviceNode | undefined,
): GuestDevices {
  const ignored: string[] = [];
  const numbers = new Map<string, DeviceNode>();
  const made: OciDevice[] = [];
  for (const device of devices) {
    const node =
      device.type === "p" ? { type: "p", major: 0, minor: 0 } : (disks.get(device.path) ?? find(device.path));
    if (node === undefined || kindOf(node.type) !== kindOf(device.type)) {
      ignored.push(`device ${JSON.stringify(device.path)}: the guest has none`);
      continue;
    }
    numbers.set(keyOf(device), node);
    made.push(
      device.type === "p" ? device : { ...device, type: node.type, major: node.major, minor: node.minor },
    );
  }
  const kept: OciDeviceRule[] = [];
  for (const rule of rules) {
    const node = numbers.get(keyOf(rule));
    if (node !== undefined) kept.push({ ...rule, type: node.type, major: node.major, minor: node.minor });
    else if (isForAll(rule) || isStandard(rule) || !rule.allow) kept.push(rule);
    else ignored.push(`device rule ${keyOf(rule)}: these are numbers of the host`);
  }
  return { devices: made, rules: kept, ignored };
}

/** "u" is another letter for a character device. */
function kindOf(type: string): string {
  return type === "u" ? "c" : type;
}

function keyOf({ type = "a", major, minor }: Partial<DeviceNode>): string {
  return `${kindOf(type)} ${numberOf(major) ?? "*"}:${numberOf(minor) ?? "*"}`;
}

function isForAll({ major }: OciDeviceRule): boolean {
  return numberOf(major) === undefined;
}

function isStandard({ type = "a", major, minor }: OciDeviceRule): boolean {
  const minors = STANDARD.get(numberOf(major) ?? -1);
  if (kindOf(type) !== "c" || minors === undefined) return false;
  const one = numberOf(minor);
  return minors === "all" || (one !== undefined && minors.includes(one));
}

/** -1 stands for all as well. */
function numberOf(value: number | undefined | null): number | undefined {
  return value === undefined || value === null || value < 0 ? undefined : value;
}
