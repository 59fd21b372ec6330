import { mkdirSync, statfsSync, statSync } from "node:fs";
import { TapirError, wrapError } from "../../sys/error.ts";
import { MS, mount } from "../../sys/mount.ts";
import { Code } from "../../sys/status.ts";

/** linux/magic.h */
const TMPFS_MAGIC = 0x0102_1994;

/**
 * Makes sure that `path` is a directory of root's alone on tmpfs, which it mounts there when it is not: memory of guests must
 * neither be read by others nor written to a disk. Call it with the factory's lock held.
 */
export function prepareDirectory(path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    if (statfsSync(path).type !== TMPFS_MAGIC) {
      const flags = MS.NOSUID | MS.NODEV | MS.NOEXEC;
      mount({ source: "tapir-factory", target: path, type: "tmpfs", flags, data: "mode=0700" });
    }
  } catch (error) {
    throw wrapError(error, { operation: "prepare", object: `factory directory ${path}` });
  }
  requirePrivate(path, "factory directory", "factory.path");
}

/** Throws PERMISSION_DENIED unless `path` is a directory of this user's that nobody else may enter. */
export function requirePrivate(path: string, what: string, key: string): void {
  const { uid, mode } = statSync(path);
  if (uid === process.geteuid?.() && (mode & 0o077) === 0) return;
  throw new TapirError({
    code: Code.PERMISSION_DENIED,
    operation: "use",
    object: `${what} ${path}`,
    cause: "others than its owner may enter it, or somebody else owns it",
    hint: `set another ${key}, or chmod 0700 ${path}`,
  });
}

/** The file whose lock says who builds: beside the directory, which may not be there yet or be mounted over. */
export function lockPathOf(path: string): string {
  return `${path}.lock`;
}
