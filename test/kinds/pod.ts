import { openSync, writeFileSync } from "node:fs";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import { listAddresses, replaceAddress } from "../../sys/netlink/address.ts";
import { attributeU32 } from "../../sys/netlink/attribute.ts";
import { createLink } from "../../sys/netlink/create-link.ts";
import { decodeLink, findLink, listLinks, setLink } from "../../sys/netlink/link.ts";
import { RTM } from "../../sys/netlink/message.ts";
import { replaceNeighbor } from "../../sys/netlink/neighbor.ts";
import { IFA_F, IFF, type Link, NUD } from "../../sys/netlink/records.ts";
import { openRoute, type RouteSocket } from "../../sys/netlink/socket.ts";
import { listQdiscs } from "../../sys/netlink/traffic.ts";
import { inFreshNetns } from "../../sys/netns.ts";
import type { Case, CaseLink } from "./cases.ts";

const soon = (): Deadline => deadlineIn(60_000, "make a pod's links");
/** All addresses of a family are in one subnet. */
const PREFIX = { 4: 8, 6: 64 } as const;
/** Somebody at the far end of the cable. */
export const FAR = { address: "10.99.0.1", mac: "02:00:00:00:00:99" } as const;

/** The IPv6 address of who has an IPv4 address. */
export const sixOf = (four: string): string => `fd00::${four.split(".").slice(1).join(":")}`;

/** Three namespaces: the node's, a pod's, and what is at the far end of the node's cable. */
export interface Place {
  readonly node: string;
  readonly pod: string;
  readonly far: string;
  /** The node's end of the cable. */
  readonly lower: Link;
}

export async function makePlace({ links }: Case): Promise<Place> {
  const [node, pod, far] = [newNetns(), newNetns(), newNetns()];
  using onNode = openRoute({ netns: node });
  using inPod = openRoute({ netns: pod });
  using there = openRoute({ netns: far });
  await createLink(onNode, { name: "lower", what: { kind: "veth", peer: "wire" } }, soon());
  await move(onNode, "wire", far);
  await take(there, "wire", "10.99.0.1");
  const lower = await take(onNode, "lower", "10.0.0.1");
  const state = NUD.PERMANENT;
  for (const [family, address] of bothOf(FAR.address)) {
    const entry = { index: lower.index, family, address, mac: FAR.mac, state, flags: 0 };
    await replaceNeighbor(onNode, entry, soon());
  }
  for (const { name, what, address } of links) {
    const on = what.kind === "dummy" ? {} : { on: lower.index };
    await createLink(onNode, { name, what, ...on }, soon());
    await move(onNode, name, pod);
    await take(inPod, name, address);
  }
  return { node, pod, far, lower };
}

/** A new namespace whose links have no IPv6 address by themselves. It lives as long as this process. */
export function newNetns(): string {
  const fd = inFreshNetns(() => {
    for (const [name, value] of Object.entries({ addr_gen_mode: "1", accept_ra: "0" }))
      writeFileSync(`/proc/sys/net/ipv6/conf/default/${name}`, value);
    return openSync("/proc/thread-self/ns/net", "r");
  });
  return `/proc/self/fd/${fd}`;
}

async function move(socket: RouteSocket, name: string, netns: string): Promise<void> {
  await setLink(socket, await named(socket, name), { netnsFd: Number(netns.split("/").at(-1)) }, soon());
}

const bothOf = (four: string): [4 | 6, string][] => [
  [4, four],
  [6, sixOf(four)],
];

/** Up, with an address of each family if it has one. */
export async function take(socket: RouteSocket, name: string, address: CaseLink["address"]): Promise<Link> {
  const link = await named(socket, name);
  await setLink(socket, link, { up: true }, soon());
  if (address === undefined) return link;
  const plain = { peer: undefined, broadcast: undefined, scope: 0, label: undefined, routeMetric: 0 };
  for (const [family, one] of bothOf(address)) {
    const place = { index: link.index, family, address: one, prefixLength: PREFIX[family] };
    await replaceAddress(socket, { ...plain, ...place, flags: family === 6 ? IFA_F.NODAD : 0 }, soon());
  }
  return link;
}

async function named(socket: RouteSocket, name: string): Promise<Link> {
  const link = await findLink(socket, { name }, soon());
  if (link === undefined) throw new Error(`there is no link ${name}`);
  return link;
}

const IFINFOMSG = 16;
const IFLA_EXT_MASK = 29;
const SKIP_STATS = 8;

/** RTM_NEWLINK of every link but loopback as the kernel writes it, in hexadecimal. */
export async function rawLinks(netns: string): Promise<string[]> {
  using socket = openRoute({ netns });
  const payload = Buffer.concat([Buffer.alloc(IFINFOMSG), attributeU32(IFLA_EXT_MASK, SKIP_STATS)]);
  const request = { type: RTM.GETLINK, payload, operation: "list", object: "links" };
  const replies = await socket.dump(request, soon());
  return replies
    .filter(({ payload }) => ((decodeLink(payload)?.flags ?? 0) & IFF.LOOPBACK) === 0)
    .map(({ payload }) => payload.toString("hex"));
}

/** IFF_RUNNING and IFF_LOWER_UP: come a moment after a link went up. */
const CARRIER = 0x40 | 0x1_0000;

/** What connecting could have changed in the pod's namespace. */
export async function snapshot(netns: string): Promise<string> {
  using socket = openRoute({ netns });
  const found = await listLinks(socket, soon());
  const nameOf = (index: number) => found.find((link) => link.index === index)?.name;
  const links = found.map(({ name, mac, mtu, flags, alias }) => [name, mac, mtu, flags & ~CARRIER, alias]);
  const qdiscs = (await listQdiscs(socket, soon())).map(({ index, kind }) => [nameOf(index), kind]);
  const addresses = (await listAddresses(socket, soon())).map(({ index, address }) => [
    nameOf(index),
    address,
  ]);
  return JSON.stringify({ links, qdiscs, addresses });
}
