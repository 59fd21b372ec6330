import type { Deadline } from "../deadline.ts";
import { afOf, familyOf, formatIp, parseIp } from "./address-text.ts";
import { attribute, attributeText, attributeU32, decodeAttributes } from "./attribute.ts";
import { deviceText } from "./link-name.ts";
import { NLM_F, RTM } from "./message.ts";
import { type Address, IFA_F } from "./records.ts";
import type { RouteSocket } from "./socket.ts";

const IFADDRMSG = 8;
/** linux/if_addr.h */
const IFA = { ADDRESS: 1, LOCAL: 2, LABEL: 3, BROADCAST: 4, CACHEINFO: 6, FLAGS: 8, RT_PRIORITY: 9 } as const;
const FOREVER = 0xffff_ffff;

/** Every IPv4 and IPv6 address of the namespace. */
export async function listAddresses(socket: RouteSocket, deadline: Deadline): Promise<Address[]> {
  const request = {
    type: RTM.GETADDR,
    payload: Buffer.alloc(IFADDRMSG),
    operation: "list",
    object: "addresses",
  };
  const replies = await socket.dump(request, deadline);
  return replies.map((reply) => decodeAddress(reply.payload)).filter((address) => address !== undefined);
}

/** Adds an address, or changes flags and scope of the one that is there. */
export async function replaceAddress(
  socket: RouteSocket,
  address: Address,
  deadline: Deadline,
): Promise<void> {
  await change(socket, "add", RTM.NEWADDR, NLM_F.CREATE | NLM_F.REPLACE, address, deadline);
}

/** Removes an address; EADDRNOTAVAIL when it is not there. */
export async function deleteAddress(
  socket: RouteSocket,
  address: Address,
  deadline: Deadline,
): Promise<void> {
  await change(socket, "delete", RTM.DELADDR, 0, address, deadline);
}

async function change(
  socket: RouteSocket,
  operation: string,
  type: number,
  flags: number,
  address: Address,
  deadline: Deadline,
): Promise<void> {
  const object = async (): Promise<string> =>
    `address ${address.address}/${address.prefixLength}${await deviceText(socket, address.index, deadline)}`;
  await socket.request({ type, flags, payload: encodeAddress(address), operation, object }, deadline);
}

/** ifaddrmsg with its attributes. */
export function encodeAddress(address: Address): Buffer {
  const { family, peer, broadcast, label, routeMetric } = address;
  const header = Buffer.alloc(IFADDRMSG);
  header.writeUInt8(afOf(family), 0);
  header.writeUInt8(address.prefixLength, 1);
  header.writeUInt8(address.flags & 0xff, 2);
  header.writeUInt8(address.scope, 3);
  header.writeUInt32LE(address.index, 4);
  const local = parseIp(address.address);
  return Buffer.concat([
    header,
    attribute(IFA.LOCAL, local),
    attribute(IFA.ADDRESS, peer === undefined ? local : parseIp(peer)),
    attributeU32(IFA.FLAGS, address.flags),
    ...(broadcast === undefined ? [] : [attribute(IFA.BROADCAST, parseIp(broadcast))]),
    ...(label === undefined ? [] : [attributeText(IFA.LABEL, label)]),
    ...(routeMetric === 0 ? [] : [attributeU32(IFA.RT_PRIORITY, routeMetric)]),
    ...((address.flags & IFA_F.DEPRECATED) === 0 ? [] : [attribute(IFA.CACHEINFO, deprecated())]),
  ]);
}

/** struct ifa_cacheinfo of an address that is valid for ever and preferred no more: the flag is made from it. */
function deprecated(): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt32LE(FOREVER, 4);
  return bytes;
}

/** Undefined for what is neither IPv4 nor IPv6. */
export function decodeAddress(payload: Buffer): Address | undefined {
  const family = payload.length < IFADDRMSG ? undefined : familyOf(payload.readUInt8(0));
  if (family === undefined) return undefined;
  const attributes = decodeAttributes(payload, IFADDRMSG);
  const far = attributes.get(IFA.ADDRESS);
  // IPv6 leaves IFA_LOCAL out unless there is a peer; IPv4 leaves IFA_ADDRESS out for 0.0.0.0.
  const near = attributes.get(IFA.LOCAL) ?? far;
  if (near === undefined) return undefined;
  const broadcast = attributes.get(IFA.BROADCAST);
  return {
    index: payload.readUInt32LE(4),
    family,
    address: formatIp(near),
    prefixLength: payload.readUInt8(1),
    peer: far === undefined || far.equals(near) ? undefined : formatIp(far),
    broadcast: broadcast === undefined ? undefined : formatIp(broadcast),
    scope: payload.readUInt8(3),
    flags: attributes.u32(IFA.FLAGS) ?? payload.readUInt8(2),
    label: attributes.text(IFA.LABEL),
    routeMetric: attributes.u32(IFA.RT_PRIORITY) ?? 0,
  };
}
