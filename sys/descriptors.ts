import {
  closeSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  type Stats,
  statfsSync,
  statSync,
} from "node:fs";
import { errnoOf } from "./error.ts";

/** What a descriptor of another process leads to. */
export interface Descriptor {
  /** As /proc shows it: "socket:[7]", "/usr/lib/x". */
  readonly target: string;
  /** A word for it: "socket", "eventfd", "device /dev/net/tun", "file /etc/passwd". */
  readonly kind: string;
  /** On a mount of the process's own root. */
  readonly inRoot: boolean;
}

const PROC_MAGIC = 0x9fa0;

/** All descriptors of a process. Errors: ENOENT, ESRCH when it is gone. */
export function readDescriptors(pid: number): Descriptor[] {
  const proc = `/proc/${pid}`;
  const mounts = new Set(
    readFileSync(`${proc}/mountinfo`, "utf8")
      .split("\n")
      .map((line) => line.split(" ", 1)[0] ?? ""),
  );
  return readdirSync(`${proc}/fd`).flatMap((fd): Descriptor[] => {
    try {
      const path = `${proc}/fd/${fd}`;
      const target = readlinkSync(path);
      const mount = /^mnt_id:\s*(\d+)/m.exec(readFileSync(`${proc}/fdinfo/${fd}`, "utf8"))?.[1] ?? "";
      return [{ target, kind: kindOf(path, target), inRoot: mounts.has(mount) }];
    } catch (error) {
      // Closed meanwhile.
      if (errnoOf(error) === "ENOENT") return [];
      throw error;
    }
  });
}

function kindOf(path: string, target: string): string {
  const [, name] = /^(\w+):\[\d+\]$/.exec(target) ?? /^anon_inode:\[?([\w-]+)\]?$/.exec(target) ?? [];
  if (name !== undefined) return name;
  if (target.startsWith("/memfd:")) return "memory";
  const stat = statSync(path);
  if (stat.isCharacterDevice()) return `device ${target}`;
  if (stat.isBlockDevice() || (stat.isFile() && holdsFileSystem(path))) return `disk ${target}`;
  return isOtherProc(path, stat) ? "its own /proc" : `file ${target}`;
}

/** Where ext4, xfs and erofs have their magic numbers, little-endian but xfs's. */
const SUPERBLOCKS = [
  { offset: 0x438, magic: "53ef" },
  { offset: 0, magic: "58465342" },
  { offset: 0x400, magic: "e2e1f5e0" },
];

/** Files may be disks, too. */
function holdsFileSystem(path: string): boolean {
  const fd = openSync(path, "r");
  try {
    return SUPERBLOCKS.some(({ offset, magic }) => {
      const bytes = Buffer.alloc(magic.length / 2);
      readSync(fd, bytes, 0, bytes.length, offset);
      return bytes.toString("hex") === magic;
    });
  } finally {
    closeSync(fd);
  }
}

/** A /proc that is not this process's: of another PID namespace. */
function isOtherProc(path: string, { dev }: Stats): boolean {
  return statfsSync(path).type === PROC_MAGIC && dev !== statSync("/proc").dev;
}
