import { TapirError } from "../sys/error.ts";
import { Code } from "../sys/status.ts";

const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const PT_INTERP = 3;
const DT_NEEDED = 1;
const DT_STRTAB = 5;

interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  readonly fileSize: number;
}

/** True when the bytes begin like a 64-bit little-endian ELF file. */
export function isElf(image: Buffer): boolean {
  return image.length >= 64 && image.readUInt32BE(0) === 0x7f454c46 && image.readUInt16BE(4) === 0x0201;
}

/** What the dynamic loader will look for: the interpreter (a path) and the shared libraries (names) (elf(5)). */
export function neededBy(image: Buffer): { interpreter: string | undefined; libraries: string[] } {
  const segments = segmentsOf(image);
  const interp = segments.find((segment) => segment.type === PT_INTERP);
  const dynamic = segments.find((segment) => segment.type === PT_DYNAMIC);
  const entries = dynamic === undefined ? [] : dynamicEntries(image, dynamic);
  const table = entries.find((entry) => entry.tag === DT_STRTAB)?.value;
  const libraries = entries
    .filter((entry) => entry.tag === DT_NEEDED)
    .map((entry) => textAt(image, fileOffset(segments, (table ?? 0) + entry.value)));
  return { interpreter: interp === undefined ? undefined : textAt(image, interp.offset), libraries };
}

/**
 * The same program without what the loader never maps: debug information, symbol table, section headers, all of
 * which lie behind the last segment. The bytes do not depend on any tool's version, as those of strip(1) do.
 */
export function trimElf(image: Buffer): Buffer {
  const end = Math.max(...segmentsOf(image).map((segment) => segment.offset + segment.fileSize));
  const trimmed = Buffer.from(image.subarray(0, end));
  trimmed.writeBigUInt64LE(0n, 40); // e_shoff
  trimmed.writeUInt32LE(0, 60); // e_shnum, e_shstrndx
  return trimmed;
}

function segmentsOf(image: Buffer): Segment[] {
  if (!isElf(image)) throw malformed("it is not a 64-bit ELF file");
  const start = Number(image.readBigUInt64LE(32));
  const size = image.readUInt16LE(54);
  const count = image.readUInt16LE(56);
  if (size !== 56 || start + size * count > image.length) throw malformed("its program headers are cut off");
  return Array.from({ length: count }, (_, index) => segmentAt(image, start + index * size)).filter(
    (segment) => segment.type === PT_LOAD || segment.fileSize > 0,
  );
}

function segmentAt(image: Buffer, at: number): Segment {
  const [offset, address, fileSize] = [8, 16, 32].map((field) => Number(image.readBigUInt64LE(at + field)));
  return {
    type: image.readUInt32LE(at),
    offset: offset ?? 0,
    address: address ?? 0,
    fileSize: fileSize ?? 0,
  };
}

function dynamicEntries(image: Buffer, dynamic: Segment): { tag: number; value: number }[] {
  return Array.from({ length: Math.floor(dynamic.fileSize / 16) }, (_, index) => ({
    tag: Number(image.readBigUInt64LE(dynamic.offset + index * 16)),
    value: Number(image.readBigUInt64LE(dynamic.offset + index * 16 + 8)),
  }));
}

function fileOffset(segments: readonly Segment[], address: number): number {
  const home = segments.find(
    ({ type, address: start, fileSize }) =>
      type === PT_LOAD && address >= start && address < start + fileSize,
  );
  if (home === undefined) throw malformed(`no segment holds address ${address}`);
  return home.offset + address - home.address;
}

function textAt(image: Buffer, at: number): string {
  const end = image.indexOf(0, at);
  if (end < 0) throw malformed("a name is not terminated");
  return image.toString("utf8", at, end);
}

function malformed(cause: string): TapirError {
  return new TapirError({ code: Code.INVALID_ARGUMENT, operation: "read", object: "ELF file", cause });
}
