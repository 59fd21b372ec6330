import { type StatsFs, statfsSync } from "node:fs";
import type { OciMount } from "./oci.ts";

const PLACE = "/dev/shm";
const TMPFS_MAGIC = 0x01021994;

/**
 * The size of the pod's /dev/shm. Whoever makes a sandbox makes a tmpfs on the node for it, and mounts that into the sandbox: its
 * containers get the guest's, of the same size. 0 where nothing says one: the usual.
 */
export function sharedMemoryBytes(
  mounts: readonly Pick<OciMount, "destination" | "type" | "source">[],
  look: (path: string) => StatsFs = statfsSync,
): bigint {
  const found = mounts.findLast(({ destination }) => destination === PLACE);
  // The node's own is as large as the node.
  if (found?.type !== "bind" || found.source === PLACE) return 0n;
  try {
    const { type, bsize, blocks } = look(found.source);
    return type === TMPFS_MAGIC ? BigInt(bsize) * BigInt(blocks) : 0n;
  } catch {
    // Gone, or not to be looked at: the pod can do without.
    return 0n;
  }
}
