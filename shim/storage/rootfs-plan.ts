import { join } from "node:path";
import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import type { RootfsMount } from "../sandbox/workload-storage.ts";
import { DISK_FILE_SYSTEMS } from "./disk-file-systems.ts";

/** How a container's root file system gets into the guest. */
export type RootfsPlan =
  /** A folder of the host, through the share. */
  | { readonly kind: "folder"; readonly source: string; readonly readOnly: boolean }
  /** File systems that the host mounts over each other, through the share: overlays. */
  | { readonly kind: "mounts"; readonly mounts: readonly RootfsMount[] }
  /** A file system on a block device or in a file, which the guest mounts. */
  | {
      readonly kind: "disk";
      readonly source: string;
      readonly fileSystem: string;
      readonly options: readonly string[];
    };

/** What is to be planned: the mounts that containerd's snapshotter made up, or none and the spec's own folder. */
export interface RootfsRequest {
  readonly containerId: string;
  readonly bundle: string;
  readonly rootfs: readonly RootfsMount[];
  /** `root.path` of the spec. */
  readonly rootPath: string;
}

/** Pure: only a mount's type decides, so that a folder never becomes a disk. Errors: FAILED_PRECONDITION. */
export function planRootfs({ containerId, bundle, rootfs, rootPath }: RootfsRequest): RootfsPlan {
  const [first, ...others] = rootfs;
  if (first === undefined) {
    const path = rootPath === "" ? "rootfs" : rootPath;
    return { kind: "folder", source: path.startsWith("/") ? path : join(bundle, path), readOnly: false };
  }
  const placed = rootfs.find(({ target }) => target !== "" && target !== "/");
  if (placed !== undefined) throw refusal(containerId, `a part of it has its own place, ${placed.target}`);
  if (others.length === 0 && isBind(first)) {
    return { kind: "folder", source: first.source, readOnly: first.options.includes("ro") };
  }
  const disk = rootfs.find(({ type }) => DISK_FILE_SYSTEMS.includes(type));
  if (disk === undefined) return { kind: "mounts", mounts: rootfs };
  if (others.length > 0) throw refusal(containerId, `it is made of ${rootfs.length} parts, one a disk`);
  return { kind: "disk", source: disk.source, fileSystem: disk.type, options: disk.options };
}

export function isBind({ type, options }: RootfsMount): boolean {
  return type === "bind" || options.includes("bind") || options.includes("rbind");
}

function refusal(containerId: string, cause: string): TapirError {
  return new TapirError({
    code: Code.FAILED_PRECONDITION,
    operation: "share",
    object: `the root file system of container ${containerId}`,
    cause,
    hint: "use containerd's snapshotter overlayfs, native, devmapper or blockfile",
  });
}
