import { closeSync, openSync } from "node:fs";
import type { Deadline } from "../sys/deadline.ts";
import { errnoOf, TapirError } from "../sys/error.ts";
import { deleteAddress, listAddresses, replaceAddress } from "../sys/netlink/address.ts";
import { familyOfText, formatIp, parseIp } from "../sys/netlink/address-text.ts";
import { findLink, listLinks, setLink } from "../sys/netlink/link.ts";
import { type Address, IFA_F, type Link, RT_SCOPE } from "../sys/netlink/records.ts";
import { openRoute, type RouteSocket } from "../sys/netlink/socket.ts";
import { Code } from "../sys/status.ts";
import { orRestoreLink } from "./restore-link.ts";

/** A link as an operator wants it: "", 0 and an empty list leave things as they are. */
export interface LinkWish {
  /** Its name so far, when it is to get another. */
  readonly device: string;
  readonly name: string;
  readonly mac: string;
  readonly mtu: number;
  readonly addresses: readonly { readonly address: string; readonly prefixLength: number }[];
}

/** Puts a link into use: one of the namespace, or one of the caller's own, which moves there. Returns its index. */
export async function addLink(netns: string, wish: LinkWish, deadline: Deadline): Promise<number> {
  using socket = openRoute({ netns });
  const name = wish.device || wish.name;
  if ((await findWished(socket, wish, deadline)) === undefined) await moveIn(netns, name, deadline);
  const link = await theLink(socket, wish, deadline);
  return await orRestoreLink(socket, link, () => change(socket, link, wish, deadline), deadline);
}

/** Changes a link of the namespace, which goes up. Returns its index. NOT_FOUND when there is none. */
export async function changeLink(netns: string, wish: LinkWish, deadline: Deadline): Promise<number> {
  using socket = openRoute({ netns });
  const link = await theLink(socket, wish, deadline);
  return await orRestoreLink(socket, link, () => change(socket, link, wish, deadline), deadline);
}

/** Takes a link out of use: down, without addresses. Its routes go with these. */
export async function removeLink(netns: string, wish: LinkWish, deadline: Deadline): Promise<void> {
  using socket = openRoute({ netns });
  const link = await theLink(socket, wish, deadline);
  await setLink(socket, link, { up: false }, deadline);
  await applyAddresses(socket, link, [], deadline);
}

async function change(socket: RouteSocket, link: Link, wish: LinkWish, deadline: Deadline): Promise<number> {
  const { name, mac, mtu, addresses } = wish;
  if (name !== "" && name !== link.name) await rename(socket, link, name, deadline);
  const wanted = { ...(mac === "" || mac === link.mac ? {} : { mac }) };
  await setLink(socket, link, { ...wanted, ...(mtu === 0 ? {} : { mtu }) }, deadline);
  await setLink(socket, link, { up: true }, deadline);
  if (addresses.length > 0) await applyAddresses(socket, link, addresses, deadline);
  return link.index;
}

/** Routes go with a link that goes down: only a kernel that renames nothing else (before 6.2) makes us do it. */
async function rename(socket: RouteSocket, link: Link, name: string, deadline: Deadline): Promise<void> {
  await setLink(socket, link, { name }, deadline).catch(async (error: unknown) => {
    if (errnoOf(error) !== "EBUSY") throw error;
    await setLink(socket, link, { up: false }, deadline);
    await setLink(socket, link, { name }, deadline);
  });
}

/** Brings the addresses to exactly these, but for the link-local ones that the kernel made. */
async function applyAddresses(
  socket: RouteSocket,
  link: Link,
  wanted: LinkWish["addresses"],
  deadline: Deadline,
): Promise<void> {
  const goal = new Map(wanted.map((one) => [keyOf(one), addressOf(link.index, one)]));
  for (const address of await listAddresses(socket, deadline)) {
    if (address.index !== link.index || goal.delete(keyOf(address))) continue;
    if (wanted.length > 0 && address.scope === RT_SCOPE.LINK && address.family === 6) continue;
    await deleteAddress(socket, address, deadline).catch((error: unknown) => {
      // It went with the one before it.
      if (errnoOf(error) !== "EADDRNOTAVAIL") throw error;
    });
  }
  for (const address of goal.values()) await replaceAddress(socket, address, deadline);
}

const keyOf = ({ address, prefixLength }: { address: string; prefixLength: number }): string =>
  `${formatIp(parseIp(address))}/${prefixLength}`;

function addressOf(index: number, { address, prefixLength }: LinkWish["addresses"][number]): Address {
  const family = familyOfText(address);
  return {
    index,
    family,
    address: formatIp(parseIp(address)),
    prefixLength,
    peer: undefined,
    broadcast: undefined,
    scope: RT_SCOPE.UNIVERSE,
    flags: family === 6 ? IFA_F.NODAD : 0,
    label: undefined,
    routeMetric: 0,
  };
}

async function theLink(socket: RouteSocket, wish: LinkWish, deadline: Deadline): Promise<Link> {
  const link = await findWished(socket, wish, deadline);
  if (link !== undefined) return link;
  throw notFound(wish.device || wish.name || wish.mac, "the pod's network namespace has none");
}

/** By name, or by MAC where no name is said or none is so called. */
async function findWished(
  socket: RouteSocket,
  { device, name, mac }: LinkWish,
  deadline: Deadline,
): Promise<Link | undefined> {
  const links = await listLinks(socket, deadline);
  const byName = links.find((link) => link.name === (device || name));
  return byName ?? (mac === "" ? undefined : links.find((link) => link.mac === mac));
}

async function moveIn(netns: string, name: string, deadline: Deadline): Promise<void> {
  using own = openRoute();
  const link = name === "" ? undefined : await findLink(own, { name }, deadline);
  if (link === undefined) throw notFound(name, "neither the pod's network namespace nor the node's has one");
  const netnsFd = openSync(netns, "r");
  try {
    await setLink(own, link, { netnsFd }, deadline);
  } finally {
    closeSync(netnsFd);
  }
}

function notFound(name: string, cause: string): TapirError {
  return new TapirError({ code: Code.NOT_FOUND, operation: "find", object: `link ${name}`, cause });
}
