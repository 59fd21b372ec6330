import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import type { OciMount } from "./oci.ts";

/** Where in the guest a mount of the spec finds what it shows. */
export type PlacedMount =
  /** Without `ro` where the host sees to it (MountSource.host_read_only). */
  | { readonly kind: "bind"; readonly path: string; readonly hostReadOnly?: boolean | undefined }
  /** `options` are the file system's own: "size=1024". */
  | { readonly kind: "tmpfs"; readonly options: readonly string[] }
  | { readonly kind: "skip" };

/** File systems that need nothing of the host. */
const KERNEL_TYPES: readonly string[] = [
  "proc",
  "sysfs",
  "tmpfs",
  "devpts",
  "mqueue",
  "cgroup",
  "cgroup2",
  "securityfs",
  "debugfs",
  "tracefs",
  "bpf",
  "ramfs",
];
const SHARED_MEMORY = "/dev/shm";
/** Options that say how to bind or label, not how what is there behaves. */
const OF_BINDS = /^(r?bind|r?private|r?shared|r?slave|r?unbindable|(root|fs|def)?context=.*)$/;
const OF_LABELS = /^(root|fs|def)?context=/;

/** The mounts of a container inside the guest; `sharedMemory` is the folder that is the pod's /dev/shm. */
export function guestMounts(
  wanted: readonly OciMount[],
  placed: ReadonlyMap<number, PlacedMount>,
  sharedMemory: string,
): OciMount[] {
  return wanted.flatMap((mount, index): OciMount[] => {
    const { destination, type = "", options = [] } = mount;
    const place = placed.get(index);
    const kept = options.filter((option) => !OF_LABELS.test(option));
    if (place !== undefined) return placeMount(mount, place);
    if (isBind(mount)) {
      if (destination !== SHARED_MEMORY) throw sourceless(mount);
      return [{ destination, type: "bind", source: sharedMemory, options: withBind(kept) }];
    }
    if (!KERNEL_TYPES.includes(type)) throw sourceless(mount);
    return [{ destination, type, source: type, options: kept }];
  });
}

function placeMount({ destination, options = [] }: OciMount, place: PlacedMount): OciMount[] {
  const labelless = options.filter((option) => !OF_LABELS.test(option));
  switch (place.kind) {
    case "skip":
      return [];
    case "bind": {
      const own = place.hostReadOnly === true ? labelless.filter((option) => option !== "ro") : labelless;
      return [{ destination, type: "bind", source: place.path, options: withBind(own) }];
    }
    case "tmpfs": {
      const flags = options.filter((option) => !OF_BINDS.test(option));
      return [{ destination, type: "tmpfs", source: "tmpfs", options: [...flags, ...place.options] }];
    }
  }
}

function isBind({ type, options = [] }: OciMount): boolean {
  return type === "bind" || options.includes("bind") || options.includes("rbind");
}

/** A mount of a disk becomes a bind of where the disk is mounted. */
function withBind(options: readonly string[]): readonly string[] {
  return options.includes("bind") || options.includes("rbind") ? options : ["bind", ...options];
}

function sourceless({ destination, type = "", source = "" }: OciMount): TapirError {
  return new TapirError({
    code: Code.INVALID_ARGUMENT,
    operation: "mount",
    object: `${JSON.stringify(destination.slice(0, 256))}`,
    cause: `its source ${JSON.stringify(source.slice(0, 256))} (type ${JSON.stringify(type.slice(0, 32))}) is not in the guest`,
    hint: "the host has to say where the guest finds it",
  });
}
