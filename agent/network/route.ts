import type { Route as RouteMessage } from "../../proto/gen/tapir/agent/v1/agent.ts";
import type { Deadline } from "../../sys/deadline.ts";
import { errnoOf } from "../../sys/error.ts";
import { listAddresses } from "../../sys/netlink/address.ts";
import { prefixText } from "../../sys/netlink/address-text.ts";
import { type Address, type Route, RTPROT } from "../../sys/netlink/records.ts";
import { addRoute, deleteRoute, listRoutes as readRoutes } from "../../sys/netlink/route.ts";
import { isOurs, routePlan } from "../../sys/netlink/route-difference.ts";
import { allOf } from "./all-of.ts";
import { type LinkNames, readLinkNames } from "./link-names.ts";
import { fromRoute, toRoute } from "./message.ts";
import type { Ground, Network } from "./network.ts";
import { orphanedRoutes } from "./orphaned-route.ts";

/** Every route but the local table's, the kernel's own included (their protocol says so). */
export async function listRoutes(network: Network, deadline: Deadline): Promise<RouteMessage[]> {
  const [names, routes] = await Promise.all([readLinkNames(network, deadline), readOurs(network, deadline)]);
  return routes.map((route) => toRoute(route, names.nameOf));
}

async function readOurs({ socket }: Network, deadline: Deadline): Promise<Route[]> {
  return (await readRoutes(socket, deadline, { localTable: false })).filter(isOurs);
}

/** What whoever asks knows of the network. */
export interface RouteGround {
  readonly names?: LinkNames;
  readonly ground?: Ground;
  /** That are there; there may be more. */
  readonly addresses?: readonly Address[];
}

/** Brings the routes to the wanted set; those that the kernel made with an address are left alone. */
export async function applyRoutes(
  network: Network,
  wanted: readonly RouteMessage[],
  deadline: Deadline,
  { names, ground = "unknown", addresses = [] }: RouteGround = {},
): Promise<void> {
  const { indexOf } = names ?? (await readLinkNames(network, deadline));
  const goal = wanted.map((route) => fromRoute(route, indexOf));
  if (ground === "blank" && !meetsKernels(goal, addresses)) {
    await allOf(routePlan([], goal).add.map((route) => addRoute(network.socket, route, deadline)));
    return;
  }
  const current = await readOurs(network, deadline);
  const { remove, add } = routePlan(current, goal);
  // The kernel is asked only where the addresses known do not explain everything.
  const explained = ground === "blank" || orphanedRoutes(current, addresses).length === 0;
  const orphans = explained ? [] : orphanedRoutes(current, await listAddresses(network.socket, deadline));
  await allOf([
    ...[...remove, ...orphans].map((route) => removeRoute(network, route, deadline)),
    ...add.map((route) => addRoute(network.socket, route, deadline)),
  ]);
}

/** One that is gone meanwhile, with a route or address before it, is what was wanted. */
async function removeRoute(network: Network, route: Route, deadline: Deadline): Promise<void> {
  try {
    await deleteRoute(network.socket, route, deadline);
  } catch (error) {
    if (errnoOf(error) !== "ESRCH") throw error;
  }
}

/** Whether the kernel may have made one of them already, or another in its place: with an address, there is nothing else. */
function meetsKernels(routes: readonly Route[], addresses: readonly Address[]): boolean {
  const wanted = new Set(routes.map(({ destination }) => destination));
  // Most have a length that no route has.
  const lengths = new Set(routes.map(({ family, destination }) => `${family} ${destination.split("/")[1]}`));
  const isWanted = (family: Address["family"], address: string, length: number): boolean =>
    lengths.has(`${family} ${length}`) && wanted.has(prefixText(address, length));
  return (
    routes.some(({ protocol }) => protocol === RTPROT.KERNEL || protocol === RTPROT.RA) ||
    addresses.some(
      ({ family, address, prefixLength, peer }) =>
        isWanted(family, address, prefixLength) ||
        (peer !== undefined &&
          (isWanted(family, peer, prefixLength) || isWanted(family, peer, family === 4 ? 32 : 128))),
    )
  );
}
