import type { Deadline } from "../deadline.ts";
import { errnoOf } from "../error.ts";
import { formatMac, parseMac } from "./address-text.ts";
import {
  type Attributes,
  attribute,
  attributeNest,
  attributeText,
  attributeU8,
  attributeU32,
  decodeAttributes,
} from "./attribute.ts";
import { RTM } from "./message.ts";
import { IFF, type Link } from "./records.ts";
import type { RouteSocket } from "./socket.ts";

const IFINFOMSG = 16;
/** linux/if_link.h */
const IFLA = {
  ADDRESS: 1,
  IFNAME: 3,
  MTU: 4,
  LINK: 5,
  MASTER: 10,
  TXQLEN: 13,
  OPERSTATE: 16,
  LINKINFO: 18,
  IFALIAS: 20,
  STATS64: 23,
  AF_SPEC: 26,
  NET_NS_FD: 28,
  EXT_MASK: 29,
  LINK_NETNSID: 37,
  PARENT_DEV_NAME: 56,
  PARENT_DEV_BUS_NAME: 57,
} as const;
const IFLA_INFO = { KIND: 1, DATA: 2 } as const;
const IFLA_IPVLAN_MODE = 1;
const IPVLAN_MODES = ["l2", "l3", "l3s"] as const;
const IFLA_INET6_ADDR_GEN_MODE = 8;
const AF_INET6 = 10;
const RTEXT_FILTER_SKIP_STATS = 8;

/** Names a link for requests; the name is for errors. */
export type LinkReference = Pick<Link, "index" | "name">;

export interface LinkChange {
  readonly name?: string;
  readonly mac?: string;
  readonly mtu?: number;
  readonly txQueueLength?: number;
  readonly alias?: string;
  readonly up?: boolean;
  /** Descriptor of the network namespace that it moves to. */
  readonly netnsFd?: number;
  /** IFF_* to set to `value` where `mask` has a bit. */
  readonly flags?: { readonly value: number; readonly mask: number };
  /** "none": the kernel makes no IPv6 link-local address for the link. */
  readonly addressGeneration?: "eui64" | "none";
}

/** Every link of the namespace, in order of index. */
export async function listLinks(socket: RouteSocket, deadline: Deadline): Promise<Link[]> {
  const payload = Buffer.concat([ifinfomsg(0), attributeU32(IFLA.EXT_MASK, RTEXT_FILTER_SKIP_STATS)]);
  const request = { type: RTM.GETLINK, payload, operation: "list", object: "links" };
  const replies = await socket.dump(request, deadline);
  const links = replies.map((reply) => decodeLink(reply.payload)).filter((link) => link !== undefined);
  return links.sort((a, b) => a.index - b.index);
}

/** What went through a link since it came to be. */
export interface LinkCounters {
  readonly receivedPackets: number;
  readonly receivedDropped: number;
  readonly sentPackets: number;
  readonly sentDropped: number;
}

export interface CountedLink {
  readonly link: Link;
  readonly counters: LinkCounters;
  /** What this namespace calls the one in which the lower or peer link lies (netnsIdOf); undefined: this one. */
  readonly peerNetnsId: number | undefined;
}

/** As listLinks, with what each link counted. */
export async function listCountedLinks(socket: RouteSocket, deadline: Deadline): Promise<CountedLink[]> {
  const request = { type: RTM.GETLINK, payload: ifinfomsg(0), operation: "list", object: "links" };
  const replies = await socket.dump(request, deadline);
  return replies.flatMap(({ payload }) => {
    const link = decodeLink(payload);
    if (link === undefined) return [];
    const attributes = decodeAttributes(payload, IFINFOMSG);
    const peerNetnsId = attributes.u32(IFLA.LINK_NETNSID);
    return [{ link, counters: decodeCounters(attributes.get(IFLA.STATS64)), peerNetnsId }];
  });
}

/** One link by index or by name; undefined when there is none. */
export async function findLink(
  socket: RouteSocket,
  which: { readonly index: number } | { readonly name: string },
  deadline: Deadline,
): Promise<Link | undefined> {
  const filter = attributeU32(IFLA.EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  const [payload, object] =
    "index" in which
      ? [Buffer.concat([ifinfomsg(which.index), filter]), `link #${which.index}`]
      : [Buffer.concat([ifinfomsg(0), filter, attributeText(IFLA.IFNAME, which.name)]), `link ${which.name}`];
  try {
    const [reply] = await socket.request({ type: RTM.GETLINK, payload, operation: "read", object }, deadline);
    return reply === undefined ? undefined : decodeLink(reply.payload);
  } catch (error) {
    if (errnoOf(error) === "ENODEV") return undefined;
    throw error;
  }
}

/** Changes what `change` names, in one request; the kernel applies flags last. */
export async function setLink(
  socket: RouteSocket,
  link: LinkReference,
  change: LinkChange,
  deadline: Deadline,
): Promise<void> {
  const up =
    change.up === undefined ? { value: 0, mask: 0 } : { value: change.up ? IFF.UP : 0, mask: IFF.UP };
  const { value, mask } = change.flags ?? { value: 0, mask: 0 };
  const payload = Buffer.concat([
    ifinfomsg(link.index, up.value | value, up.mask | mask),
    ...changeAttributes(change),
  ]);
  const object = `link ${link.name}`;
  await socket.request({ type: RTM.SETLINK, payload, operation: "change", object }, deadline);
}

/** Deletes a link that can be deleted (taps and veths can, loopback cannot). */
export async function deleteLink(
  socket: RouteSocket,
  link: LinkReference,
  deadline: Deadline,
): Promise<void> {
  const payload = ifinfomsg(link.index);
  const object = `link ${link.name}`;
  await socket.request({ type: RTM.DELLINK, payload, operation: "delete", object }, deadline);
}

/** Decodes ifinfomsg with its attributes; undefined when it speaks of a bridge port, not of the link itself. */
export function decodeLink(payload: Buffer): Link | undefined {
  if (payload.length < IFINFOMSG || payload.readUInt8(0) !== 0) return undefined;
  const attributes = decodeAttributes(payload, IFINFOMSG);
  return {
    index: payload.readInt32LE(4),
    name: attributes.text(IFLA.IFNAME) ?? "",
    ...kindOf(attributes),
    type: payload.readUInt16LE(2),
    mac: formatMac(attributes.get(IFLA.ADDRESS) ?? Buffer.alloc(0)),
    mtu: attributes.u32(IFLA.MTU) ?? 0,
    flags: payload.readUInt32LE(8),
    txQueueLength: attributes.u32(IFLA.TXQLEN) ?? 0,
    peerIndex: attributes.u32(IFLA.LINK) ?? 0,
    ...(attributes.has(IFLA.LINK_NETNSID) ? { peerElsewhere: true } : {}),
    masterIndex: attributes.u32(IFLA.MASTER) ?? 0,
    operationalState: attributes.u8(IFLA.OPERSTATE) ?? 0,
    alias: attributes.text(IFLA.IFALIAS) ?? "",
    ...parentOf(attributes),
  };
}

function parentOf(attributes: Attributes): Pick<Link, "parent"> {
  const name = attributes.text(IFLA.PARENT_DEV_NAME);
  const bus = attributes.text(IFLA.PARENT_DEV_BUS_NAME);
  return name === undefined || bus === undefined ? {} : { parent: { bus, name } };
}

/** struct rtnl_link_stats64 (linux/if_link.h): packets, bytes, errors, dropped, each received and then sent. */
function decodeCounters(statistics: Buffer | undefined): LinkCounters {
  const field = (at: number): number =>
    statistics !== undefined && statistics.length >= 8 * (at + 1)
      ? Number(statistics.readBigUInt64LE(8 * at))
      : 0;
  return {
    receivedPackets: field(0),
    sentPackets: field(1),
    receivedDropped: field(6),
    sentDropped: field(7),
  };
}

/** The kind, and what has to be known of it. */
function kindOf(attributes: Attributes): Pick<Link, "kind" | "ipvlanMode"> {
  const nested = attributes.get(IFLA.LINKINFO);
  if (nested === undefined) return { kind: undefined };
  const info = decodeAttributes(nested);
  const kind = info.text(IFLA_INFO.KIND);
  if (kind !== "ipvlan") return { kind };
  const mode = decodeAttributes(info.get(IFLA_INFO.DATA) ?? Buffer.alloc(0)).get(IFLA_IPVLAN_MODE);
  return { kind, ipvlanMode: IPVLAN_MODES[mode?.readUInt16LE(0) ?? 0] };
}

function changeAttributes(change: LinkChange): Buffer[] {
  const { name, mac, mtu, txQueueLength, alias, addressGeneration, netnsFd } = change;
  const attributes: Buffer[] = [];
  if (mac !== undefined) attributes.push(attribute(IFLA.ADDRESS, parseMac(mac)));
  if (mtu !== undefined) attributes.push(attributeU32(IFLA.MTU, mtu));
  if (name !== undefined) attributes.push(attributeText(IFLA.IFNAME, name));
  if (txQueueLength !== undefined) attributes.push(attributeU32(IFLA.TXQLEN, txQueueLength));
  if (alias !== undefined) attributes.push(attributeText(IFLA.IFALIAS, alias));
  if (netnsFd !== undefined) attributes.push(attributeU32(IFLA.NET_NS_FD, netnsFd));
  if (addressGeneration !== undefined) {
    const mode = attributeU8(IFLA_INET6_ADDR_GEN_MODE, addressGeneration === "none" ? 1 : 0);
    attributes.push(attributeNest(IFLA.AF_SPEC, attributeNest(AF_INET6, mode)));
  }
  return attributes;
}

function ifinfomsg(index: number, flags = 0, change = 0): Buffer {
  const bytes = Buffer.alloc(IFINFOMSG);
  bytes.writeInt32LE(index, 4);
  bytes.writeUInt32LE(flags >>> 0, 8);
  bytes.writeUInt32LE(change >>> 0, 12);
  return bytes;
}
