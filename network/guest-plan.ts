import type { DiscoveredNetwork } from "./discover.ts";
import { planInterface } from "./guest-interface.ts";
import { planNeighbors } from "./guest-neighbor.ts";
import type { GuestNetwork } from "./guest-network.ts";
import { planRoutes } from "./guest-route.ts";
import { planRules } from "./guest-rule.ts";
import type { NicPlan } from "./nic-plan.ts";

/**
 * What the guest must have so that it is the pod: for every planned NIC the link's addresses, routes and neighbours,
 * field by field. What the guest's kernel makes by itself from these (connected routes, the local table, multicast)
 * is left out. Pure.
 */
export function planGuest(network: DiscoveredNetwork, nics: readonly NicPlan[]): GuestNetwork {
  const planned = new Set(nics.map(({ link }) => link.index));
  const links = network.links.filter(({ link }) => planned.has(link.index));
  const devices = new Map(links.map(({ link }) => [link.index, link.name]));
  return {
    interfaces: links.map((found) => planInterface(found, network.routes)),
    routes: planRoutes(network.routes, new Map([...devices, [network.loopbackIndex, "lo"]])),
    rules: planRules(network.rules),
    neighbors: planNeighbors(
      links.flatMap(({ neighbors }) => neighbors),
      network.routes,
      devices,
    ),
  };
}
