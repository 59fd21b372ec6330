import { TapirError } from "../error.ts";
import { Code } from "../status.ts";

/** Flags of nlmsghdr (linux/netlink.h); some bits mean different things in requests and in answers. */
export const NLM_F = {
  REQUEST: 0x1,
  MULTI: 0x2,
  ACK: 0x4,
  DUMP_INTR: 0x10,
  DUMP: 0x300,
  REPLACE: 0x100,
  EXCL: 0x200,
  CREATE: 0x400,
  APPEND: 0x800,
  /** In an error answer: the failed request is echoed without its payload. */
  CAPPED: 0x100,
  /** In an error answer: extended-ack attributes follow. */
  ACK_TLVS: 0x200,
} as const;

/** Control messages (linux/netlink.h). */
export const NLMSG = { NOOP: 1, ERROR: 2, DONE: 3, OVERRUN: 4 } as const;

/** Message types of rtnetlink (linux/rtnetlink.h). */
export const RTM = {
  NEWLINK: 16,
  DELLINK: 17,
  GETLINK: 18,
  SETLINK: 19,
  NEWADDR: 20,
  DELADDR: 21,
  GETADDR: 22,
  NEWROUTE: 24,
  DELROUTE: 25,
  GETROUTE: 26,
  NEWNEIGH: 28,
  DELNEIGH: 29,
  GETNEIGH: 30,
  NEWRULE: 32,
  DELRULE: 33,
  GETRULE: 34,
  NEWQDISC: 36,
  DELQDISC: 37,
  GETQDISC: 38,
  NEWTFILTER: 44,
  DELTFILTER: 45,
  GETTFILTER: 46,
  GETNSID: 90,
} as const;

const HEADER = 16;

export interface Message {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  /** Port of the requester; 0 in what the kernel sends on its own. */
  readonly port: number;
  readonly payload: Buffer;
}

/** Messages and attributes start at multiples of four. */
export function align(length: number): number {
  return (length + 3) & ~3;
}

/** nlmsghdr and payload. Netlink is host-endian; every host and guest of ours is little-endian. */
export function encodeMessage(message: Message): Buffer {
  const { type, flags, sequence, port, payload } = message;
  const bytes = Buffer.alloc(align(HEADER + payload.length));
  bytes.writeUInt32LE(HEADER + payload.length, 0);
  bytes.writeUInt16LE(type, 4);
  bytes.writeUInt16LE(flags, 6);
  bytes.writeUInt32LE(sequence >>> 0, 8);
  bytes.writeUInt32LE(port >>> 0, 12);
  payload.copy(bytes, HEADER);
  return bytes;
}

/** The messages of one datagram. Payloads are views into `datagram`. */
export function decodeMessages(datagram: Buffer): Message[] {
  const messages: Message[] = [];
  let offset = 0;
  while (datagram.length - offset >= HEADER) {
    const length = u32At(datagram, offset);
    if (length < HEADER || length > datagram.length - offset) throw malformed(`message of ${length} bytes`);
    messages.push({
      type: u16At(datagram, offset + 4),
      flags: u16At(datagram, offset + 6),
      sequence: u32At(datagram, offset + 8),
      port: u32At(datagram, offset + 12),
      payload: datagram.subarray(offset + HEADER, offset + length),
    });
    offset += align(length);
  }
  return messages;
}

/** Without the checks that Buffer makes in each call: a link has fifty attributes, a table any number of messages. */
export function u16At(bytes: Buffer, at: number): number {
  return (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8);
}

export function u32At(bytes: Buffer, at: number): number {
  return (u16At(bytes, at) | (u16At(bytes, at + 2) << 16)) >>> 0;
}

export function malformed(what: string): TapirError {
  return new TapirError({ code: Code.DATA_LOSS, operation: "decode", object: "netlink answer", cause: what });
}
