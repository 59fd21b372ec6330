import { closeSync, openSync } from "node:fs";
import type { Deadline } from "../sys/deadline.ts";
import { findLink, type LinkReference, setLink } from "../sys/netlink/link.ts";
import { openRoute, type RouteSocket } from "../sys/netlink/socket.ts";
import { type LinkState, readLinkState, restoreLink } from "./restore-link.ts";

const OWN_NETNS = "/proc/self/ns/net";

/** A link of the caller's namespace; undefined when none is called so. */
export async function findOwn(name: string, deadline: Deadline): Promise<LinkState | undefined> {
  using own = openRoute();
  const link = await findLink(own, { name }, deadline);
  return link && (await readLinkState(own, link, deadline));
}

/** Moves a link of the caller's namespace to `netns`. */
export async function moveIn(netns: string, { link }: LinkState, deadline: Deadline): Promise<void> {
  using own = openRoute();
  await move(own, link, netns, deadline);
}

/** Moves it back, if it is there, and gives it what it had: a link that moves loses addresses and routes. */
export async function moveBack(netns: string, before: LinkState, deadline: Deadline): Promise<void> {
  const { name } = before.link;
  using there = openRoute({ netns });
  const link = await findLink(there, { name }, deadline);
  if (link === undefined) return;
  await move(there, link, OWN_NETNS, deadline);
  using own = openRoute();
  const back = await findLink(own, { name }, deadline);
  if (back !== undefined) await restoreLink(own, withIndex(before, back.index), deadline);
}

async function move(socket: RouteSocket, link: LinkReference, to: string, deadline: Deadline): Promise<void> {
  const netnsFd = openSync(to, "r");
  try {
    await setLink(socket, link, { netnsFd }, deadline);
  } finally {
    closeSync(netnsFd);
  }
}

/** Another link may have got the index meanwhile: then it comes back with a new one. */
function withIndex({ link, addresses, routes, neighbors }: LinkState, index: number): LinkState {
  const renumbered = <Item extends { readonly index: number }>(item: Item): Item =>
    item.index === link.index ? { ...item, index } : item;
  return {
    link: renumbered(link),
    addresses: addresses.map(renumbered),
    neighbors: neighbors.map(renumbered),
    routes: routes.map((route) => ({
      ...renumbered(route),
      nextHops: route.nextHops.map(renumbered),
    })),
  };
}
