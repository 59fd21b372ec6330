import { type Neighbor, NUD, type Route } from "../sys/netlink/records.ts";
import type { GuestNeighbor } from "./guest-network.ts";

const DEFAULT_DESTINATIONS: readonly string[] = ["0.0.0.0/0", "::/0"];
/** The kernel learned the link-layer address and still believes it. */
const KNOWN = NUD.REACHABLE | NUD.STALE | NUD.DELAY | NUD.PROBE;

/**
 * Permanent entries, always: a CNI made them and the guest cannot learn them. Of the learned ones only the default
 * gateway's: the first packet then needs no question, also when a hundred pods start at once. Pure.
 */
export function planNeighbors(
  neighbors: readonly Neighbor[],
  routes: readonly Route[],
  devices: ReadonlyMap<number, string>,
): GuestNeighbor[] {
  const gateways = defaultGateways(routes);
  return neighbors.flatMap(({ index, address, mac, state, flags }): GuestNeighbor[] => {
    const device = devices.get(index);
    if (device === undefined) return [];
    const planned = { device, address, mac, flags };
    if ((state & NUD.PERMANENT) !== 0) return [{ ...planned, state: NUD.PERMANENT }];
    if ((state & KNOWN) === 0 || mac === "" || !gateways.has(`${index} ${address}`)) return [];
    // What is being asked again just now is for the guest merely not confirmed.
    return [{ ...planned, state: (state & NUD.REACHABLE) !== 0 ? NUD.REACHABLE : NUD.STALE }];
  });
}

function defaultGateways(routes: readonly Route[]): ReadonlySet<string> {
  return new Set(
    routes
      .filter(({ destination }) => DEFAULT_DESTINATIONS.includes(destination))
      .flatMap((route) => [route, ...route.nextHops])
      .map(({ index, gateway }) => `${index} ${gateway}`),
  );
}
