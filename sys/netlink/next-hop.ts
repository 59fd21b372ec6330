import { afOf, familyOfText, formatIp, parseIp } from "./address-text.ts";
import { type Attributes, attribute, decodeAttributes } from "./attribute.ts";
import { align, malformed } from "./message.ts";
import type { Family, NextHop } from "./records.ts";

/** The gateway is reachable without a route to it. */
export const RTNH_F_ONLINK = 4;
const RTNH_F_DEAD = 1;
/** Bytes of struct rtnexthop (linux/rtnetlink.h). */
const RTNEXTHOP = 8;
const RTA_GATEWAY = 5;
/** A gateway of another family than the route's (IPv4 via IPv6). */
const RTA_VIA = 18;
export const RTA_ENCAP_TYPE = 21;

export function gatewayOf(attributes: Attributes): string | undefined {
  const gateway = attributes.get(RTA_GATEWAY);
  if (gateway !== undefined) return formatIp(gateway);
  const via = attributes.get(RTA_VIA);
  return via === undefined ? undefined : formatIp(via.subarray(2));
}

export function encodeGateway(family: Family, gateway: string): Buffer {
  const own = familyOfText(gateway);
  if (own === family) return attribute(RTA_GATEWAY, parseIp(gateway));
  const header = Buffer.alloc(2);
  header.writeUInt16LE(afOf(own));
  return attribute(RTA_VIA, Buffer.concat([header, parseIp(gateway)]));
}

/** The value of RTA_MULTIPATH. */
export function encodeNextHops(family: Family, nextHops: readonly NextHop[]): Buffer {
  const entries = nextHops.map(({ gateway, index, weight, onLink }) => {
    const attributes = gateway === undefined ? Buffer.alloc(0) : encodeGateway(family, gateway);
    const header = Buffer.alloc(RTNEXTHOP);
    header.writeUInt16LE(RTNEXTHOP + attributes.length, 0);
    header.writeUInt8(onLink ? RTNH_F_ONLINK : 0, 2);
    header.writeUInt8(weight - 1, 3);
    header.writeInt32LE(index, 4);
    return Buffer.concat([header, attributes]);
  });
  return Buffer.concat(entries);
}

export function decodeNextHops(bytes: Buffer): NextHop[] {
  const nextHops: NextHop[] = [];
  let offset = 0;
  while (bytes.length - offset >= RTNEXTHOP) {
    const length = bytes.readUInt16LE(offset);
    if (length < RTNEXTHOP || length > bytes.length - offset) throw malformed(`next hop of ${length} bytes`);
    const flags = bytes.readUInt8(offset + 2);
    const attributes = decodeAttributes(bytes.subarray(offset, offset + length), RTNEXTHOP);
    nextHops.push({
      gateway: gatewayOf(attributes),
      index: bytes.readInt32LE(offset + 4),
      weight: bytes.readUInt8(offset + 3) + 1,
      onLink: (flags & RTNH_F_ONLINK) !== 0,
      dead: (flags & RTNH_F_DEAD) !== 0,
      ...(attributes.has(RTA_ENCAP_TYPE) ? { encapsulated: true } : {}),
    });
    offset += align(length);
  }
  return nextHops;
}
