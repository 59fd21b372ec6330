import { lstat, realpath, stat } from "node:fs/promises";
import { wrapError } from "../../sys/error.ts";
import { type MountInfo, readMounts } from "../../sys/inventory/mountinfo.ts";

/** What the host has at the source of a bind mount. */
export interface SourceFacts {
  /** With every symbolic link resolved, as a bind mount would. */
  readonly path: string;
  readonly kind: SourceKind;
  /** Which file it was when it was looked at; it may be swapped for another one before it is mounted. */
  readonly identity: FileIdentity;
  /** Type of the file system it lies on. */
  readonly fileSystem: string;
  /** Whether something is mounted below it. */
  readonly hasMounts: boolean;
  /** Set when it lies in an emptyDir whose medium is memory. */
  readonly memory: MemoryFacts | undefined;
}

export interface FileIdentity {
  readonly device: bigint;
  readonly inode: bigint;
}

export type SourceKind = "folder" | "file" | "socket" | "fifo" | "block device" | "character device";

/** An emptyDir of medium memory: kubelet mounts a tmpfs for each. */
export interface MemoryFacts {
  /** Names the volume within the pod. */
  readonly id: string;
  /** 0: no limit of its own. */
  readonly sizeBytes: bigint;
  /** Of its root folder. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Of the source in the volume; "" = its root. */
  readonly path: string;
}

const EMPTY_DIR = /\/kubernetes\.io~empty-dir\/[^/]+$/;

/** Looks at a source. Errors: NOT_FOUND and what else the kernel says. */
export async function readSource(source: string): Promise<SourceFacts> {
  try {
    const path = await realpath(source);
    const kind = kindOf(await lstat(path));
    // By its inside: what automounts does it now, and not when it is mounted.
    const { dev, ino } = await stat(kind === "folder" ? `${path}/.` : path, { bigint: true });
    const mounts = readMounts();
    const mount = mountOf(mounts, path);
    const memory = mount?.type === "tmpfs" ? await readMemory(mounts, mount, path) : undefined;
    const hasMounts = mounts.some(({ target }) => Boolean(restBelow(path, target)));
    const identity = { device: dev, inode: ino };
    return { path, kind, identity, fileSystem: mount?.type ?? "", hasMounts, memory };
  } catch (error) {
    throw wrapError(error, { operation: "look at", object: source });
  }
}

/** The mount that shows `path`: of those around it the innermost, of several on one folder the last. */
export function mountOf(mounts: readonly MountInfo[], path: string): MountInfo | undefined {
  let found: MountInfo | undefined;
  for (const mount of mounts) {
    if (restBelow(mount.target, path) === undefined) continue;
    if (found === undefined || mount.target.length >= found.target.length) found = mount;
  }
  return found;
}

/** A part of the volume (subPath) is a mount of its own, of the same file system. */
async function readMemory(
  mounts: readonly MountInfo[],
  mount: MountInfo,
  path: string,
): Promise<MemoryFacts | undefined> {
  const volume = mounts.find(
    ({ device, root, target }) => device === mount.device && root === "/" && EMPTY_DIR.test(target),
  );
  if (volume === undefined) return undefined;
  const { mode, uid, gid } = await lstat(volume.target);
  const rest = restBelow(mount.target, path) ?? "";
  return {
    id: `memory-${mount.device.replace(":", "-")}`,
    sizeBytes: sizeOf(volume.options),
    mode: mode & 0o7777,
    uid,
    gid,
    path: [...mount.root.split("/"), ...rest.split("/")].filter((part) => part !== "").join("/"),
  };
}

/** `size=` of a tmpfs as mountinfo shows it. */
export function sizeOf(options: string): bigint {
  const [, digits, unit = ""] = /(?:^|,)size=(\d+)([kmg]?)(?:,|$)/.exec(options) ?? [];
  const factor = { "": 1n, k: 1n << 10n, m: 1n << 20n, g: 1n << 30n }[unit] ?? 1n;
  return digits === undefined ? 0n : BigInt(digits) * factor;
}

/** What follows `folder` in `path`; undefined when it is not below it. */
function restBelow(folder: string, path: string): string | undefined {
  if (folder === "/") return path.slice(1);
  if (path === folder) return "";
  return path.startsWith(`${folder}/`) ? path.slice(folder.length + 1) : undefined;
}

function kindOf(stat: Awaited<ReturnType<typeof lstat>>): SourceKind {
  if (stat.isDirectory()) return "folder";
  if (stat.isFile()) return "file";
  if (stat.isSocket()) return "socket";
  if (stat.isFIFO()) return "fifo";
  return stat.isBlockDevice() ? "block device" : "character device";
}
