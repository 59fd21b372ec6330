import type { Interface, Neighbor, Route, Rule } from "../../proto/gen/tapir/agent/v1/agent.ts";
import type { Deadline } from "../../sys/deadline.ts";
import { listLinks } from "../../sys/netlink/link.ts";
import type { Link } from "../../sys/netlink/records.ts";
import { applyInterfaces, clearInterfaces, isWanted } from "./interface.ts";
import { applyNeighbors } from "./neighbor.ts";
import type { Ground, Network } from "./network.ts";
import { locate } from "./port.ts";
import { applyRoutes } from "./route.ts";
import { applyRules, removeRules } from "./rule.ts";

/** The guest's whole network. */
export interface WantedNetwork {
  readonly interfaces: readonly Interface[];
  readonly routes: readonly Route[];
  readonly rules: readonly Rule[];
  readonly neighbors: readonly Neighbor[];
}

/**
 * Brings the guest's network to the wanted one. Doing it twice is doing it once; NICs that are not there yet are waited for
 * until `linksBy`, and those that nobody wants are put out of use. On blank ground there is nothing to compare with.
 */
export async function applyNetwork(
  network: Network,
  wanted: WantedNetwork,
  linksBy: Deadline,
  deadline: Deadline,
  ground: Ground = "unknown",
): Promise<void> {
  const { routes, rules, neighbors } = wanted;
  const interfaces = await locate(wanted.interfaces, linksBy);
  const isStray = (link: Link): boolean => !interfaces.some((one) => isWanted(link, one));
  const blank = ground === "blank";
  const links = await listLinks(network.socket, deadline);
  if (!blank) await clearInterfaces(network, links, isStray, deadline);
  const applied = await applyInterfaces(network, interfaces, linksBy, deadline, ground, links);
  // A gateway may be reachable by its permanent entry only.
  if (!blank || neighbors.length > 0) await applyNeighbors(network, neighbors, deadline, applied.names);
  // A rule of before may hide the way to a gateway of now; one of now must not be asked before its tables are filled.
  const staying = blank ? undefined : await removeRules(network, rules, deadline);
  await applyRoutes(network, routes, deadline, { ...applied, ground });
  if (!blank || rules.length > 0) await applyRules(network, rules, deadline, staying);
}
