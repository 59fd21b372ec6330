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

/**
 * The raw block volumes of a container. A privileged container's spec lists all devices of the host, each under its own
 * name: they are not meant, privileged is privileged in the guest. Pure; `hostPathOf` tells the name of a device, if there is
 * one. Devices that are nowhere on the host are left to the guest, too.
 */
export function planDevices(
  { devices, deviceRules }: Pick<OciSpec, "devices" | "deviceRules">,
  hostPathOf: (major: number, minor: number) => string | undefined,
): DeviceDisk[] {
  const privileged = deviceRules.some(allowsEverything);
  return devices.flatMap((device): DeviceDisk[] => {
    const { type, path, major, minor } = device;
    if (type !== "b") return [];
    const hostPath = hostPathOf(major, minor);
    if (hostPath === undefined || (privileged && hostPath === path)) return [];
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
