import type { Deadline } from "../deadline.ts";
import { afOf, familyOf, formatIp, formatMac, parseIp, parseMac } from "./address-text.ts";
import { attribute, decodeAttributes } from "./attribute.ts";
import { deviceText } from "./link-name.ts";
import { NLM_F, RTM } from "./message.ts";
import { type Neighbor, RTN } from "./records.ts";
import type { RouteSocket } from "./socket.ts";

const NDMSG = 12;
/** linux/neighbour.h */
const NDA = { DST: 1, LLADDR: 2 } as const;

/** The ARP and NDP tables of the namespace, with or without the multicast entries that the kernel makes for each link. */
export async function listNeighbors(
  socket: RouteSocket,
  deadline: Deadline,
  { multicast = true }: { readonly multicast?: boolean } = {},
): Promise<Neighbor[]> {
  const request = {
    type: RTM.GETNEIGH,
    payload: Buffer.alloc(NDMSG),
    operation: "list",
    object: "neighbours",
  };
  const replies = await socket.dump(request, deadline);
  return replies
    .filter(({ payload }) => multicast || !isMulticast(payload))
    .map((reply) => decodeNeighbor(reply.payload))
    .filter((neighbor) => neighbor !== undefined);
}

/** Adds an entry, or sets link-layer address and state of the one that is there. */
export async function replaceNeighbor(
  socket: RouteSocket,
  neighbor: Neighbor,
  deadline: Deadline,
): Promise<void> {
  await change(socket, "add", RTM.NEWNEIGH, NLM_F.CREATE | NLM_F.REPLACE, neighbor, deadline);
}

/** Deletes an entry; ENOENT when it is not there. */
export async function deleteNeighbor(
  socket: RouteSocket,
  neighbor: Neighbor,
  deadline: Deadline,
): Promise<void> {
  await change(socket, "delete", RTM.DELNEIGH, 0, neighbor, deadline);
}

async function change(
  socket: RouteSocket,
  operation: string,
  type: number,
  flags: number,
  neighbor: Neighbor,
  deadline: Deadline,
): Promise<void> {
  const object = async (): Promise<string> => {
    const mac = neighbor.mac === "" ? "" : ` lladdr ${neighbor.mac}`;
    return `neighbour ${neighbor.address}${mac}${await deviceText(socket, neighbor.index, deadline)}`;
  };
  await socket.request({ type, flags, payload: encodeNeighbor(neighbor), operation, object }, deadline);
}

/** ndmsg with its attributes. */
export function encodeNeighbor(neighbor: Neighbor): Buffer {
  const header = Buffer.alloc(NDMSG);
  header.writeUInt8(afOf(neighbor.family), 0);
  header.writeInt32LE(neighbor.index, 4);
  header.writeUInt16LE(neighbor.state, 8);
  header.writeUInt8(neighbor.flags, 10);
  header.writeUInt8(RTN.UNICAST, 11);
  return Buffer.concat([
    header,
    attribute(NDA.DST, parseIp(neighbor.address)),
    ...(neighbor.mac === "" ? [] : [attribute(NDA.LLADDR, parseMac(neighbor.mac))]),
  ]);
}

function isMulticast(payload: Buffer): boolean {
  return payload.length >= NDMSG && payload.readUInt8(11) === RTN.MULTICAST;
}

/** Undefined for what is neither IPv4 nor IPv6 (bridge forwarding entries). */
export function decodeNeighbor(payload: Buffer): Neighbor | undefined {
  const family = payload.length < NDMSG ? undefined : familyOf(payload.readUInt8(0));
  if (family === undefined) return undefined;
  const attributes = decodeAttributes(payload, NDMSG);
  const address = attributes.get(NDA.DST);
  if (address === undefined) return undefined;
  return {
    index: payload.readInt32LE(4),
    family,
    address: formatIp(address),
    mac: formatMac(attributes.get(NDA.LLADDR) ?? Buffer.alloc(0)),
    state: payload.readUInt16LE(8),
    flags: payload.readUInt8(10),
  };
}
