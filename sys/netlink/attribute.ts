import { align, malformed, u16At, u32At } from "./message.ts";

/** Attributes by type, unknown ones included. Of a repeated type the last one stays. */
export interface Attributes {
  has(type: number): boolean;
  get(type: number): Buffer | undefined;
  /** Undefined as well where the value is too short for a number. */
  u8(type: number): number | undefined;
  u32(type: number): number | undefined;
  /** Up to the first NUL. */
  text(type: number): string | undefined;
}

const HEADER = 4;
/** NLA_F_NESTED and NLA_F_NET_BYTEORDER are no part of the type. */
const TYPE_MASK = 0x3fff;
const NLA_F_NESTED = 0x8000;

/** Decodes a run of attributes that starts at `offset` (linux/netlink.h, struct nlattr). Of most a message has, nobody wants any. */
export function decodeAttributes(bytes: Buffer, offset = 0): Attributes {
  const found: number[] = [];
  for (let at = offset; bytes.length - at >= HEADER; at += align(lengthAt(bytes, at))) {
    found[typeAt(bytes, at)] = at;
  }
  return {
    has: (type) => found[type] !== undefined,
    get(type) {
      const at = found[type];
      return at === undefined ? undefined : valueAt(bytes, at);
    },
    u8(type) {
      const at = found[type];
      return at === undefined || u16At(bytes, at) < HEADER + 1 ? undefined : bytes[at + HEADER];
    },
    u32(type) {
      const at = found[type];
      return at === undefined || u16At(bytes, at) < HEADER + 4 ? undefined : u32At(bytes, at + HEADER);
    },
    text(type) {
      const at = found[type];
      if (at === undefined) return undefined;
      const end = at + u16At(bytes, at);
      let last = at + HEADER;
      while (last < end && bytes[last] !== 0) last += 1;
      return bytes.toString("utf8", at + HEADER, last);
    },
  };
}

/** As decodeAttributes, in order and with repeated types kept. */
export function decodeAttributeList(bytes: Buffer, offset = 0): [number, Buffer][] {
  const attributes: [number, Buffer][] = [];
  for (let at = offset; bytes.length - at >= HEADER; at += align(lengthAt(bytes, at))) {
    attributes.push([typeAt(bytes, at), valueAt(bytes, at)]);
  }
  return attributes;
}

function lengthAt(bytes: Buffer, at: number): number {
  const length = u16At(bytes, at);
  if (length < HEADER || length > bytes.length - at) throw malformed(`attribute of ${length} bytes`);
  return length;
}

function typeAt(bytes: Buffer, at: number): number {
  return u16At(bytes, at + 2) & TYPE_MASK;
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
