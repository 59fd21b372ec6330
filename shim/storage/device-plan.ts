import type { OciDevice, OciDeviceRule, OciSpec } from "../sandbox/oci.ts";

/** A block device of the host that the container gets as a disk of the guest. */
export interface DeviceDisk {
  /** In the container. */
  readonly path: string;
  readonly hostPath: string;
  readonly major: number;
  readonly minor: number;
  readonly readOnly: boolean;
}

/** The devices of the host. */
export interface HostDevices {
  /** The kernel's name of a block device, if there is one. */
  pathOf(major: number, minor: number): string | undefined;
  /** Whether the host has that very block device under the path that the container is to have it under. */
  isSame(device: Pick<OciDevice, "path" | "major" | "minor">): boolean;
}

/**
 * The raw block volumes of a container. A privileged container's spec lists all devices of the host, each under its names
 * there (of a logical volume /dev/dm-0 and /dev/mapper/x): they are not meant, privileged is privileged in the guest. Devices
 * that are nowhere on the host are left to the guest, too. Pure but for what `host` looks at.
 */
export function planDevices(
  { devices, deviceRules }: Pick<OciSpec, "devices" | "deviceRules">,
  host: HostDevices,
): DeviceDisk[] {
  const privileged = deviceRules.some(allowsEverything);
  return devices.flatMap((device): DeviceDisk[] => {
    const { type, path, major, minor } = device;
    if (type !== "b") return [];
    const hostPath = host.pathOf(major, minor);
    if (hostPath === undefined || (privileged && host.isSame(device))) return [];
    const writable = deviceRules.some((rule) => allowsWriting(rule, device));
    return [{ path, hostPath, major, minor, readOnly: !writable }];
  });
}

function allowsEverything({ allow, type, major, minor, access }: OciDeviceRule): boolean {
  return (
    allow && isAny(type) && major === -1 && minor === -1 && (access === "" || /^(?=.*r)(?=.*w)/.test(access))
  );
}

function allowsWriting(rule: OciDeviceRule, { major, minor }: OciDevice): boolean {
  const { allow, type, access } = rule;
  const matches = (rule.major === -1 || rule.major === major) && (rule.minor === -1 || rule.minor === minor);
  return allow && matches && (type === "b" || isAny(type)) && (access === "" || access.includes("w"));
}

const isAny = (type: string): boolean => type === "a" || type === "";
