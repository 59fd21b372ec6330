import { closeSync, fstatSync, ftruncateSync, readSync, type Stats } from "node:fs";
import koffi from "koffi";
import { errnoNumber } from "./errno.ts";
import { systemError, TapirError } from "./error.ts";
import { check, libc } from "./libc.ts";
import { Code } from "./status.ts";

// Files that are a guest's memory: large, mostly holes, on tmpfs or without a name (memfd_create(2)).

/** A part of a file that is not a hole, in bytes from its begin. */
export interface Extent {
  readonly start: number;
  readonly end: number;
}

const MFD_CLOEXEC = 1;
const SEEK_SET = 0;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const FALLOC_FL_KEEP_SIZE = 1;
const FALLOC_FL_PUNCH_HOLE = 2;
const PAGE_BYTES = 4096;
/** st_blocks counts these, whatever the file system. */
const BLOCK_BYTES = 512;
const READ_BYTES = 1 << 20;
/** What takes less time to copy than to hand to another thread. Most extents of a guest's memory are this small. */
const AT_ONCE_BYTES = 64 << 10;

/** A file of `bytes` without a name: it lives as long as somebody has it open or mapped. Closed on exec, owned by the caller. */
export function createMemoryFile(name: string, bytes: number): number {
  const fd = check(libc.memfd_create(name, MFD_CLOEXEC), "create", `memory file ${name}`);
  try {
    ftruncateSync(fd, bytes);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** What a file really takes of its file system. */
export function allocatedBytes(fd: number): number {
  return allocatedIn(fstatSync(fd));
}

/** The same of a file that was looked at. */
export function allocatedIn({ blocks }: Pick<Stats, "blocks">): number {
  return blocks * BLOCK_BYTES;
}

/** The parts of a file that are not holes (lseek(2)). */
export function dataExtents(fd: number): Extent[] {
  const extents: Extent[] = [];
  for (let offset = 0; ; ) {
    const start = Number(libc.lseek(fd, offset, SEEK_DATA));
    if (start === -1) {
      const errno = koffi.errno();
      // Nothing but a hole from here on.
      if (errnoNumber.nameOf(errno) === "ENXIO") return extents;
      throw systemError(errno, { operation: "look for data in", object: `file ${fd}` });
    }
    const end = Number(check(Number(libc.lseek(fd, start, SEEK_HOLE)), "look for holes in", `file ${fd}`));
    extents.push({ start, end });
    offset = end;
  }
}

/**
 * Copies the data of `from` to the same places of `to`, a file of the same size that is all hole; moves the position in `to`. By
 * sendfile(2), in a thread of libuv's pool: pages go from file to file without being mapped, a tenth less work than the next best.
 */
export async function copyData(from: number, to: number): Promise<void> {
  const object = `memory file of ${fstatSync(from).size} bytes`;
  for (const extent of dataExtents(from)) {
    for (let { start } = extent; start < extent.end; ) {
      check(Number(libc.lseek(to, start, SEEK_SET)), "copy", object);
      const bytes = extent.end - start;
      const position = Buffer.alloc(8);
      position.writeBigInt64LE(BigInt(start));
      const sent =
        bytes <= AT_ONCE_BYTES
          ? sentBytes(libc.sendfile(to, from, position, bytes), object)
          : await send(to, from, position, bytes, object);
      start += sent;
    }
  }
}

function send(to: number, from: number, position: Buffer, bytes: number, object: string): Promise<number> {
  return new Promise((resolve, reject) => {
    libc.sendfile.async(to, from, position, bytes, (error: Error | null, result: number | bigint) => {
      if (error !== null) return reject(error);
      try {
        // At once: koffi keeps the call's own errno for the callback.
        resolve(sentBytes(result, object));
      } catch (failure) {
        reject(failure);
      }
    });
  });
}

/** What sendfile(2) has just sent, at least 1. Errors: its errno; DATA_LOSS when the source ends before its data should. */
function sentBytes(result: number | bigint, object: string): number {
  const sent = Number(result);
  if (sent > 0) return sent;
  if (sent === 0) {
    const cause = "it became shorter meanwhile";
    throw new TapirError({ code: Code.DATA_LOSS, operation: "copy", object, cause });
  }
  const errno = koffi.errno();
  const full = ["ENOSPC", "ENOMEM"].includes(errnoNumber.nameOf(errno));
  const cause = full ? { cause: "there is not enough memory, or space on tmpfs" } : {};
  throw systemError(errno, { operation: "copy", object, ...cause });
}

/** Gives back every page of the file that holds nothing but zeros. */
export function punchZeroPages(fd: number): void {
  const buffer = Buffer.alloc(READ_BYTES);
  for (const { start, end } of dataExtents(fd)) {
    let zeros = start;
    const punchTo = (offset: number): void => {
      if (offset > zeros) punch(fd, zeros, offset - zeros);
    };
    for (let offset = start; offset < end; offset += READ_BYTES) {
      const bytes = readSync(fd, buffer, 0, Math.min(READ_BYTES, end - offset), offset);
      for (let page = 0; page < bytes; page += PAGE_BYTES) {
        if (isZero(buffer, page, Math.min(PAGE_BYTES, bytes - page))) continue;
        punchTo(offset + page);
        zeros = offset + page + PAGE_BYTES;
      }
    }
    punchTo(end);
  }
}

const ZEROS = Buffer.alloc(PAGE_BYTES);

function isZero(buffer: Buffer, offset: number, bytes: number): boolean {
  // Most pages show their first word what they are.
  return buffer[offset] === 0 && buffer.compare(ZEROS, 0, bytes, offset, offset + bytes) === 0;
}

function punch(fd: number, offset: number, bytes: number): void {
  const mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  check(libc.fallocate(fd, mode, offset, bytes), "give back", `${bytes} bytes of file ${fd}`);
}
