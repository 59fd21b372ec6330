import { align, malformed, u16At } from "./message.ts";

/** Attributes by type, unknown ones included. Of a repeated type the last one stays. */
export type Attributes = Pick<ReadonlyMap<number, Buffer>, "get" | "has">;

const HEADER = 4;
/** NLA_F_NESTED and NLA_F_NET_BYTEORDER are no part of the type. */
const TYPE_MASK = 0x3fff;
const NLA_F_NESTED = 0x8000;

/** Decodes a run of attributes that starts at `offset` (linux/netlink.h, struct nlattr). Of most a message has, nobody wants any. */
export function decodeAttributes(bytes: Buffer, offset = 0): Attributes {
  const found = new Map<number, number>();
  walk(bytes, offset, (type, at) => found.set(type, at));
  return {
    has: (type) => found.has(type),
    get(type) {
      const at = found.get(type);
      return at === undefined ? undefined : valueAt(bytes, at);
    },
  };
}

/** As decodeAttributes, in order and with repeated types kept. */
export function decodeAttributeList(bytes: Buffer, offset = 0): [number, Buffer][] {
  const attributes: [number, Buffer][] = [];
  walk(bytes, offset, (type, at) => attributes.push([type, valueAt(bytes, at)]));
  return attributes;
}

function walk(bytes: Buffer, offset: number, found: (type: number, at: number) => void): void {
  let at = offset;
  while (bytes.length - at >= HEADER) {
    const length = u16At(bytes, at);
    if (length < HEADER || length > bytes.length - at) throw malformed(`attribute of ${length} bytes`);
    found(u16At(bytes, at + 2) & TYPE_MASK, at);
    at += align(length);
  }
}

function valueAt(bytes: Buffer, at: number): Buffer {
  return bytes.subarray(at + HEADER, at + u16At(bytes, at));
}

/** One attribute with its padding. */
export function attribute(type: number, value: Buffer): Buffer {
  const bytes = Buffer.alloc(align(HEADER + value.length));
  bytes.writeUInt16LE(HEADER + value.length, 0);
  bytes.writeUInt16LE(type, 2);
  value.copy(bytes, HEADER);
  return bytes;
}

export function attributeU8(type: number, value: number): Buffer {
  return attribute(type, Buffer.of(value));
}

export function attributeU32(type: number, value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return attribute(type, bytes);
}

/** Text with the final NUL that the kernel expects. */
export function attributeText(type: number, value: string): Buffer {
  return attribute(type, Buffer.from(`${value}\0`, "utf8"));
}

/** An attribute made of attributes. */
export function attributeNest(type: number, ...children: readonly Buffer[]): Buffer {
  return attribute(type | NLA_F_NESTED, Buffer.concat(children));
}

export function u8Of(value: Buffer | undefined): number | undefined {
  return value !== undefined && value.length >= 1 ? value.readUInt8(0) : undefined;
}

export function u32Of(value: Buffer | undefined): number | undefined {
  return value !== undefined && value.length >= 4 ? value.readUInt32LE(0) : undefined;
}

export function textOf(value: Buffer | undefined): string | undefined {
  if (value === undefined) return undefined;
  const end = value.indexOf(0);
  return value.toString("utf8", 0, end === -1 ? value.length : end);
}
