import { align, malformed } from "./message.ts";

/** Attributes by type, unknown ones included. Of a repeated type the last one stays. */
export type Attributes = ReadonlyMap<number, Buffer>;

const HEADER = 4;
/** NLA_F_NESTED and NLA_F_NET_BYTEORDER are no part of the type. */
const TYPE_MASK = 0x3fff;
const NLA_F_NESTED = 0x8000;

/** Decodes a run of attributes that starts at `offset` (linux/netlink.h, struct nlattr). */
export function decodeAttributes(bytes: Buffer, offset = 0): Attributes {
  return new Map(decodeAttributeList(bytes, offset));
}

/** As decodeAttributes, in order and with repeated types kept. */
export function decodeAttributeList(bytes: Buffer, offset = 0): [number, Buffer][] {
  const attributes: [number, Buffer][] = [];
  let at = offset;
  while (bytes.length - at >= HEADER) {
    const length = bytes.readUInt16LE(at);
    if (length < HEADER || length > bytes.length - at) throw malformed(`attribute of ${length} bytes`);
    attributes.push([bytes.readUInt16LE(at + 2) & TYPE_MASK, bytes.subarray(at + HEADER, at + length)]);
    at += align(length);
  }
  return attributes;
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
