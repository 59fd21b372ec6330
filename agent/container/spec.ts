import { type DeviceNode, guestDevices } from "./devices.ts";
import { guestProcess } from "./guest-process.ts";
import { leftOut } from "./ignored.ts";
import { guestMounts, type PlacedMount } from "./mounts.ts";
import { guestNamespaces, seesOwnCgroups } from "./namespaces.ts";
import type { OciSpec } from "./oci.ts";
import { guestResources } from "./resources.ts";

/** What of the guest a container's specification refers to. */
export interface GuestPlaces {
  readonly rootfs: string;
  /** Below the root of the cgroup tree. */
  readonly cgroup: string;
  /** By index into the spec's mounts. */
  readonly mounts: ReadonlyMap<number, PlacedMount>;
  /** Disks by the path of the spec's device. */
  readonly disks: ReadonlyMap<string, DeviceNode>;
  /** What the guest has at a path below /dev. */
  readonly device: (path: string) => DeviceNode | undefined;
  readonly sharedMemory: string;
  /** Sizes of huge pages. */
  readonly hugePages: ReadonlySet<string>;
  /** Path of the PID namespace that the container shares; not set: none. */
  readonly sharedPids: string | undefined;
}

export interface GuestSpec {
  readonly spec: OciSpec;
  /** To be set in the guest: the namespaces they belong to are the guest's. */
  readonly sysctls: Readonly<Record<string, string>>;
  /** What is not honoured, a line each. */
  readonly ignored: string[];
}

/**
 * The specification that is right inside the guest, made of what the agent knows and nothing else: a field that is
 * not named here, a hook, an annotation (crun obeys some) or a path of the host does not get through.
 */
export function guestSpec(wanted: OciSpec, places: GuestPlaces): GuestSpec {
  const { linux = {}, root = {}, mounts, process } = wanted;
  const limits = guestResources(linux.resources ?? {}, places.hugePages);
  const devices = guestDevices(
    linux.devices ?? [],
    linux.resources?.devices ?? [],
    places.disks,
    places.device,
  );
  const init = process === undefined ? undefined : guestProcess(process);
  const { seccomp, maskedPaths, readonlyPaths, rootfsPropagation, uidMappings, gidMappings, personality } =
    linux;
  const spec: OciSpec = {
    ociVersion: "1.0.2",
    ...(init === undefined ? {} : { process: init.process }),
    root: { path: places.rootfs, readonly: root.readonly ?? false },
    mounts: guestMounts(mounts ?? [], places.mounts, places.sharedMemory),
    linux: {
      namespaces: guestNamespaces(linux.namespaces ?? [], places.sharedPids, seesOwnCgroups(mounts ?? [])),
      cgroupsPath: places.cgroup,
      resources: { ...limits.resources, devices: devices.rules },
      devices: devices.devices,
      ...given({ maskedPaths, readonlyPaths, rootfsPropagation, uidMappings, gidMappings, personality }),
      ...(isThere(seccomp) ? { seccomp: withoutListener(seccomp) } : {}),
    },
  };
  const ignored = [...(init?.ignored ?? []), ...limits.ignored, ...devices.ignored, ...leftOut(wanted)];
  return { spec, sysctls: linux.sysctl ?? {}, ignored };
}

function given<T extends Readonly<Record<string, unknown>>>(fields: T): Partial<T> {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => isThere(value) && value !== ""),
  ) as Partial<T>;
}

function isThere<T>(value: T | null | undefined): value is T {
  return value !== undefined && value !== null;
}

/** The listener is a program of the host's, at the end of a socket of the host's. */
function withoutListener(seccomp: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { listenerPath: _path, listenerMetadata: _metadata, ...rest } = seccomp;
  return rest;
}
