import { afOf, familyOf, formatIp, parseCidr, parseIp } from "./address-text.ts";
import {
  type Attributes,
  attribute,
  attributeNest,
  attributeU8,
  attributeU32,
  decodeAttributeList,
  decodeAttributes,
} from "./attribute.ts";
import {
  decodeNextHops,
  encodeGateway,
  encodeNextHops,
  gatewayOf,
  RTA_ENCAP_TYPE,
  RTNH_F_ONLINK,
} from "./next-hop.ts";
import { type Family, type Route, RT_TABLE, RTN } from "./records.ts";

/** Bytes of struct rtmsg (linux/rtnetlink.h). */
export const RTMSG = 12;
const RTA = {
  DST: 1,
  OIF: 4,
  PRIORITY: 6,
  PREFSRC: 7,
  METRICS: 8,
  MULTIPATH: 9,
  CACHEINFO: 12,
  TABLE: 15,
  PREF: 20,
} as const;
/** Offset of rta_expires in struct rta_cacheinfo. */
const EXPIRES = 8;
/** A cached exception (path MTU, redirect), not a route. */
const RTM_F_CLONED = 0x200;
/** The only metric that is text (congestion control); our records hold numbers. */
const RTAX_CC_ALGO = 16;
const RT_TABLE_COMPAT = 252;

/** rtmsg with its attributes. */
export function encodeRoute(route: Route): Buffer {
  const { family, gateway, index, source, metric, table, onLink, metrics, nextHops, preference } = route;
  const { bytes, prefixLength } = parseCidr(route.destination);
  const header = Buffer.alloc(RTMSG);
  header.writeUInt8(afOf(family), 0);
  header.writeUInt8(prefixLength, 1);
  header.writeUInt8(route.tos, 3);
  header.writeUInt8(table < 256 ? table : RT_TABLE_COMPAT, 4);
  header.writeUInt8(route.protocol, 5);
  header.writeUInt8(route.scope, 6);
  header.writeUInt8(route.type, 7);
  header.writeUInt32LE(onLink ? RTNH_F_ONLINK : 0, 8);
  const attributes = [header, attributeU32(RTA.TABLE, table)];
  if (prefixLength > 0) attributes.push(attribute(RTA.DST, bytes));
  if (gateway !== undefined) attributes.push(encodeGateway(family, gateway));
  if (index !== 0) attributes.push(attributeU32(RTA.OIF, index));
  if (source !== undefined) attributes.push(attribute(RTA.PREFSRC, parseIp(source)));
  if (metric !== 0) attributes.push(attributeU32(RTA.PRIORITY, metric));
  const numbers = Object.entries(metrics).map(([type, value]) => attributeU32(Number(type), value));
  if (numbers.length > 0) attributes.push(attributeNest(RTA.METRICS, ...numbers));
  if (nextHops.length > 0) attributes.push(attribute(RTA.MULTIPATH, encodeNextHops(family, nextHops)));
  if (preference !== undefined) attributes.push(attributeU8(RTA.PREF, preference));
  return Buffer.concat(attributes);
}

/** Whether it is one of the local table, of which the kernel makes several with each address: they need not be read to be left out. */
export function isLocal(payload: Buffer): boolean {
  return payload.length >= RTMSG && payload.readUInt8(4) === RT_TABLE.LOCAL;
}

/** Undefined for what is neither IPv4 nor IPv6 and for cached exceptions. */
export function decodeRoute(payload: Buffer): Route | undefined {
  const family = payload.length < RTMSG ? undefined : familyOf(payload.readUInt8(0));
  if (family === undefined) return undefined;
  const flags = payload.readUInt32LE(8);
  if ((flags & RTM_F_CLONED) !== 0) return undefined;
  const attributes = decodeAttributes(payload, RTMSG);
  const type = payload.readUInt8(7);
  const source = attributes.get(RTA.PREFSRC);
  const hops = attributes.get(RTA.MULTIPATH);
  const nextHops = hops === undefined ? [] : decodeNextHops(hops);
  const encapsulated = attributes.has(RTA_ENCAP_TYPE) || nextHops.some((hop) => hop.encapsulated);
  return {
    family,
    destination: destinationOf(family, payload.readUInt8(1), attributes),
    gateway: gatewayOf(attributes),
    // IPv6 lists blackholes with the loopback link; it is no part of what was asked for.
    index: leadsNowhere(type) ? 0 : (attributes.u32(RTA.OIF) ?? 0),
    source: source === undefined ? undefined : formatIp(source),
    scope: payload.readUInt8(6),
    metric: attributes.u32(RTA.PRIORITY) ?? 0,
    table: attributes.u32(RTA.TABLE) ?? payload.readUInt8(4),
    protocol: payload.readUInt8(5),
    type,
    onLink: (flags & RTNH_F_ONLINK) !== 0,
    metrics: metricsOf(attributes),
    nextHops,
    preference: attributes.u8(RTA.PREF),
    tos: payload.readUInt8(3),
    ...(encapsulated ? { encapsulated } : {}),
    ...(expires(attributes.get(RTA.CACHEINFO)) ? { expires: true } : {}),
  };
}

function expires(info: Buffer | undefined): boolean {
  return info !== undefined && info.length >= EXPIRES + 4 && info.readInt32LE(EXPIRES) !== 0;
}

/** Blackhole, unreachable, prohibit and throw: routes that lead nowhere. */
function leadsNowhere(type: number): boolean {
  return type === RTN.BLACKHOLE || type === RTN.UNREACHABLE || type === RTN.PROHIBIT || type === RTN.THROW;
}

function destinationOf(family: Family, prefixLength: number, attributes: Attributes): string {
  const bytes = attributes.get(RTA.DST) ?? Buffer.alloc(family === 4 ? 4 : 16);
  return `${formatIp(bytes)}/${prefixLength}`;
}

function metricsOf(attributes: Attributes): Record<number, number> {
  const metrics: Record<number, number> = {};
  const nested = attributes.get(RTA.METRICS);
  if (nested === undefined) return metrics;
  for (const [type, value] of decodeAttributeList(nested)) {
    if (type !== RTAX_CC_ALGO && value.length >= 4) metrics[type] = value.readUInt32LE(0);
  }
  return metrics;
}
