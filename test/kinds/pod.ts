import { openSync, writeFileSync } from "node:fs";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import { listAddresses, replaceAddress } from "../../sys/netlink/address.ts";
import { createLink } from "../../sys/netlink/create-link.ts";
import { findLink, listLinks, setLink } from "../../sys/netlink/link.ts";
import { replaceNeighbor } from "../../sys/netlink/neighbor.ts";
import { type Link, NUD } from "../../sys/netlink/records.ts";
import { openRoute, type RouteSocket } from "../../sys/netlink/socket.ts";
import { listQdiscs } from "../../sys/netlink/traffic.ts";
import { inFreshNetns } from "../../sys/netns.ts";
import type { Case, CaseLink } from "./cases.ts";

const soon = (): Deadline => deadlineIn(60_000, "make a pod's links");
const PREFIX = 8;
/** Somebody at the far end of the cable. */
export const FAR = { address: "10.99.0.1", mac: "02:00:00:00:00:99" } as const;

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
  await replaceNeighbor(onNode, { ...FAR, index: lower.index, family: 4, state, flags: 0 }, soon());
  for (const { name, what, address } of links) {
    const on = what.kind === "dummy" ? {} : { on: lower.index };
    await createLink(onNode, { name, what, ...on }, soon());
    await move(onNode, name, pod);
    await take(inPod, name, address);
  }
  return { node, pod, far, lower };
}

/** A new namespace without IPv6, which would talk by itself. It lives as long as this process. */
export function newNetns(): string {
  const fd = inFreshNetns(() => {
    for (const scope of ["all", "default"])
      writeFileSync(`/proc/sys/net/ipv6/conf/${scope}/disable_ipv6`, "1");
    return openSync("/proc/thread-self/ns/net", "r");
  });
  return `/proc/self/fd/${fd}`;
}

async function move(socket: RouteSocket, name: string, netns: string): Promise<void> {
  await setLink(socket, await named(socket, name), { netnsFd: Number(netns.split("/").at(-1)) }, soon());
}

/** Up, with an address if it has one. */
async function take(socket: RouteSocket, name: string, address: CaseLink["address"]): Promise<Link> {
  const link = await named(socket, name);
  await setLink(socket, link, { up: true }, soon());
  if (address === undefined) return link;
  const plain = { peer: undefined, broadcast: undefined, scope: 0, flags: 0, label: undefined };
  const wanted = {
    index: link.index,
    family: 4,
    address,
    prefixLength: PREFIX,
    ...plain,
    routeMetric: 0,
  } as const;
  await replaceAddress(socket, wanted, soon());
  return link;
}

async function named(socket: RouteSocket, name: string): Promise<Link> {
  const link = await findLink(socket, { name }, soon());
  if (link === undefined) throw new Error(`there is no link ${name}`);
  return link;
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
