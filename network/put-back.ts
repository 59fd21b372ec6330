import type { Deadline } from "../sys/deadline.ts";
import { errnoOf } from "../sys/error.ts";
import { listAddresses, replaceAddress } from "../sys/netlink/address.ts";
import { listNeighbors, replaceNeighbor } from "../sys/netlink/neighbor.ts";
import { type Address, IFA_F, type Neighbor, NUD, type Route, RTPROT } from "../sys/netlink/records.ts";
import { addRoute, listRoutes, replaceRoute } from "../sys/netlink/route.ts";
import { inOrder, isSameRoute } from "../sys/netlink/route-difference.ts";
import type { RouteSocket } from "../sys/netlink/socket.ts";

/** It is there, or the address, link or gateway that it needs is not there any more. */
const ROUTE_IN_VAIN: readonly string[] = ["EEXIST", "EINVAL", "ENETUNREACH", "EHOSTUNREACH", "ENETDOWN"];
/** The link has an MTU that is too small for IPv6, or IPv6 is off. */
const ADDRESS_IN_VAIN: readonly string[] = ["EEXIST", "EINVAL", "EACCES", "EPERM"];

/** Adds again the routes of `before` that were lost and still can be: a kernel makes its own again by itself. */
export async function putBackRoutes(
  socket: RouteSocket,
  before: readonly Route[],
  deadline: Deadline,
): Promise<void> {
  const ours = before.filter(({ protocol, encapsulated }) => protocol !== RTPROT.KERNEL && !encapsulated);
  if (ours.length === 0) return;
  const now = await listRoutes(socket, deadline);
  const lost = ours.filter((route) => !now.some((one) => isSameRoute(one, route)));
  for (const route of inOrder(lost)) {
    // IPv6 loses next hops one by one: what is left of them is no route beside this one.
    const again = route.family === 6 && route.nextHops.length > 0 ? replaceRoute : addRoute;
    await again(socket, route, deadline).catch(unless(ROUTE_IN_VAIN));
  }
}

/** Adds again the addresses of `before` that were lost and still can be. IPv6 loses them when its link goes down. */
export async function putBackAddresses(
  socket: RouteSocket,
  before: readonly Address[],
  deadline: Deadline,
): Promise<void> {
  const now = new Set((await listAddresses(socket, deadline)).map(addressKey));
  for (const address of before) {
    if (now.has(addressKey(address))) continue;
    const flags = address.family === 6 ? address.flags | IFA_F.NODAD : address.flags;
    await replaceAddress(socket, { ...address, flags }, deadline).catch(unless(ADDRESS_IN_VAIN));
  }
}

/** Adds again the permanent entries of `before` that were lost: they go with a link's last address. */
export async function putBackNeighbors(
  socket: RouteSocket,
  before: readonly Neighbor[],
  deadline: Deadline,
): Promise<void> {
  const permanent = before.filter(({ state }) => (state & NUD.PERMANENT) !== 0);
  if (permanent.length === 0) return;
  const keyOf = ({ index, address }: Neighbor): string => `${index} ${address}`;
  const now = new Set((await listNeighbors(socket, deadline)).map(keyOf));
  for (const entry of permanent) if (!now.has(keyOf(entry))) await replaceNeighbor(socket, entry, deadline);
}

export const addressKey = ({ index, address, prefixLength, peer }: Address): string =>
  `${index} ${address}/${prefixLength} ${peer ?? ""}`;

function unless(inVain: readonly string[]): (error: unknown) => void {
  return (error) => {
    if (!inVain.includes(errnoOf(error) ?? "")) throw error;
  };
}
