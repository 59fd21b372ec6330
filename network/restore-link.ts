import type { Deadline } from "../sys/deadline.ts";
import { errnoOf } from "../sys/error.ts";
import { deleteAddress, listAddresses } from "../sys/netlink/address.ts";
import { findLink, type LinkReference, setLink } from "../sys/netlink/link.ts";
import { listNeighbors } from "../sys/netlink/neighbor.ts";
import { type Address, IFF, type Link, type Neighbor, type Route } from "../sys/netlink/records.ts";
import { listRoutes } from "../sys/netlink/route.ts";
import type { RouteSocket } from "../sys/netlink/socket.ts";
import { addressKey, putBackAddresses, putBackNeighbors, putBackRoutes } from "./put-back.ts";

/** A link with what is lost when it goes down, moves, or loses its addresses. */
export interface LinkState {
  readonly link: Link;
  readonly addresses: readonly Address[];
  /** Of every table, those with several next hops included. */
  readonly routes: readonly Route[];
  readonly neighbors: readonly Neighbor[];
}

export async function readLinkState(socket: RouteSocket, link: Link, deadline: Deadline): Promise<LinkState> {
  const isIts = ({ index }: { readonly index: number }): boolean => index === link.index;
  const addresses = (await listAddresses(socket, deadline)).filter(isIts);
  const routes = await listRoutes(socket, deadline);
  const neighbors = await listNeighbors(socket, deadline);
  return {
    link,
    addresses,
    routes: routes.filter((route) => isIts(route) || route.nextHops.some(isIts)),
    neighbors: neighbors.filter(isIts),
  };
}

/** Name, MAC, MTU, addresses, neighbours and routes of a link, and whether it is up, become what they were; one that is gone stays gone. */
export async function restoreLink(
  socket: RouteSocket,
  { link, addresses, routes, neighbors }: LinkState,
  deadline: Deadline,
): Promise<void> {
  const { name, mac, mtu } = link;
  const now = await findLink(socket, { index: link.index }, deadline);
  if (now === undefined) return;
  if (now.name !== name) await renameLink(socket, link, name, deadline);
  await setLink(socket, link, { ...(now.mac === mac ? {} : { mac }), mtu }, deadline);
  await setLink(socket, link, { up: (link.flags & IFF.UP) !== 0 }, deadline);
  const wanted = new Set(addresses.map(addressKey));
  for (const address of await listAddresses(socket, deadline)) {
    if (address.index === link.index && !wanted.has(addressKey(address)))
      await deleteAddress(socket, address, deadline);
  }
  await putBackAddresses(socket, addresses, deadline);
  await putBackNeighbors(socket, neighbors, deadline);
  await putBackRoutes(socket, routes, deadline);
}

/**
 * Kernels before 6.2 rename only what is down: routes and IPv6 addresses of the link are lost then, and it stays down.
 * Whoever calls this puts them back.
 */
export async function renameLink(
  socket: RouteSocket,
  link: LinkReference,
  name: string,
  deadline: Deadline,
): Promise<void> {
  await setLink(socket, link, { name }, deadline).catch(async (error: unknown) => {
    if (errnoOf(error) !== "EBUSY") throw error;
    await setLink(socket, link, { up: false }, deadline);
    await setLink(socket, link, { name }, deadline);
  });
}
