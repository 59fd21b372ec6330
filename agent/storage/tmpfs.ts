import type { Tmpfs } from "../../proto/gen/tapir/agent/v1/container.ts";

const DEFAULT_MODE = 0o1777;

/** Options of tmpfs (Documentation/filesystems/tmpfs.rst). */
export function tmpfsOptions({ sizeBytes, mode, uid, gid }: Tmpfs): string[] {
  const size = sizeBytes === 0n ? [] : [`size=${sizeBytes}`];
  return [...size, `mode=${(mode === 0 ? DEFAULT_MODE : mode).toString(8)}`, `uid=${uid}`, `gid=${gid}`];
}
