import type { Deadline } from "../sys/deadline.ts";
import { errnoOf, TapirError } from "../sys/error.ts";
import { listLinks } from "../sys/netlink/link.ts";
import { replaceNeighbor } from "../sys/netlink/neighbor.ts";
import { NUD, type Route, RT_TABLE, RTN, RTPROT } from "../sys/netlink/records.ts";
import { addRoute, deleteRoute, listRoutes } from "../sys/netlink/route.ts";
import { openRoute, type RouteSocket } from "../sys/netlink/socket.ts";
import { Code } from "../sys/status.ts";
import type { GuestNeighbor, GuestRoute } from "./guest-network.ts";

/** Brings the main table of a namespace to `wanted`; what the kernel made with an address stays. */
export async function changeRoutes(
  netns: string,
  wanted: readonly GuestRoute[],
  deadline: Deadline,
): Promise<void> {
  using socket = openRoute({ netns });
  const indexOf = await linkIndexes(socket, deadline);
  const goal = wanted.map((route) => fromGuest(route, indexOf));
  for (const route of await listRoutes(socket, deadline)) {
    if (route.table !== RT_TABLE.MAIN || route.protocol === RTPROT.KERNEL || route.type === RTN.MULTICAST)
      continue;
    await deleteRoute(socket, route, deadline).catch((error: unknown) => {
      if (errnoOf(error) !== "ESRCH") throw error;
    });
  }
  const rank = ({ gateway, nextHops, onLink }: Route): number =>
    gateway === undefined && nextHops.length === 0 ? 0 : onLink ? 1 : 2;
  for (const route of goal.toSorted((a, b) => rank(a) - rank(b))) {
    await addRoute(socket, route, deadline).catch((error: unknown) => {
      // The kernel made it with an address.
      if (errnoOf(error) !== "EEXIST") throw error;
    });
  }
}

/** Adds or replaces permanent entries. */
export async function changeNeighbors(
  netns: string,
  wanted: readonly GuestNeighbor[],
  deadline: Deadline,
): Promise<void> {
  using socket = openRoute({ netns });
  const indexOf = await linkIndexes(socket, deadline);
  for (const { device, address, mac, state, flags } of wanted) {
    const family = address.includes(":") ? 6 : 4;
    const entry = { index: indexOf(device), family, address, mac, flags } as const;
    await replaceNeighbor(socket, { ...entry, state: state === 0 ? NUD.PERMANENT : state }, deadline);
  }
}

async function linkIndexes(socket: RouteSocket, deadline: Deadline): Promise<(name: string) => number> {
  const indexes = new Map((await listLinks(socket, deadline)).map(({ index, name }) => [name, index]));
  return (name) => {
    const index = indexes.get(name);
    if (index !== undefined) return index;
    const cause = "the pod's network namespace has none";
    throw new TapirError({ code: Code.NOT_FOUND, operation: "find", object: `link ${name}`, cause });
  };
}

function fromGuest(route: GuestRoute, indexOf: (name: string) => number): Route {
  const optional = (text: string): string | undefined => (text === "" ? undefined : text);
  const { mtu, device, preference, nextHops, ...rest } = route;
  return {
    ...rest,
    family: route.family === 6 ? 6 : 4,
    gateway: optional(route.gateway),
    source: optional(route.source),
    index: device === "" ? 0 : indexOf(device),
    metrics: { ...route.metrics, ...(mtu === 0 ? {} : { 2: mtu }) },
    preference: preference === 0 ? undefined : preference - 1,
    nextHops: nextHops.map((hop) => ({
      ...hop,
      gateway: optional(hop.gateway),
      index: indexOf(hop.device),
      dead: false,
    })),
  };
}
