import type { Tmpfs } from "../../proto/gen/tapir/agent/v1/container.ts";

const DEFAULT_MODE = 0o1777;

/** Options of tmpfs (Documentation/filesystems/tmpfs.rst). */
export function tmpfsOptions(tmpfs: Tmpfs): string[] {
  const { sizeBytes, uid, gid } = tmpfs;
  const size = sizeBytes === 0n ? [] : [`size=${sizeBytes}`];
  return [...size, `mode=${modeOf(tmpfs).toString(8)}`, `uid=${uid}`, `gid=${gid}`];
}

/** Of its root folder. */
export function modeOf({ mode }: Tmpfs): number {
  return mode === 0 ? DEFAULT_MODE : mode;
}
