import { readFileSync, statfsSync } from "node:fs";

const MIB = 1024 * 1024;
/** What QEMU takes besides the guest's memory. */
const QEMU_BYTES = 128 * MIB;
/** What a clone may write into its directory. */
const DIRECTORY_BYTES = 4 * MIB;
/** Of the machine's memory so much stays free, at least `LEAST_FREE_BYTES`: clones only make things quicker. */
const FREE_SHARE = 0.1;
const LEAST_FREE_BYTES = 256 * MIB;

export interface Room {
  readonly totalBytes: number;
  readonly availableBytes: number;
  /** On the file system of the clones' directories. */
  readonly directoryBytes: number;
}

export function readRoom(home: string): Room {
  const text = readFileSync("/proc/meminfo", "latin1");
  const bytes = (name: string): number =>
    1024 * Number(new RegExp(`^${name}: +(\\d+) kB`, "m").exec(text)?.[1] ?? 0);
  const { bavail, bsize } = statfsSync(home);
  return {
    totalBytes: bytes("MemTotal"),
    availableBytes: bytes("MemAvailable"),
    directoryBytes: bavail * bsize,
  };
}

/** Why there is no room for one more clone of `memoryMiB`; undefined when there is. Pure. */
export function shortageOf(room: Room, memoryMiB: number): string | undefined {
  const left = room.availableBytes - memoryMiB * MIB - QEMU_BYTES;
  const wanted = Math.max(FREE_SHARE * room.totalBytes, LEAST_FREE_BYTES);
  if (left < wanted) {
    return `memory is short: with one more VM, ${inMib(left)} MiB would be left, ${inMib(wanted)} MiB are to stay free`;
  }
  if (room.directoryBytes < DIRECTORY_BYTES) return "the file system of the state directory is full";
  return undefined;
}

function inMib(bytes: number): number {
  return Math.round(bytes / MIB);
}
