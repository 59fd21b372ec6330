import type { GuestView } from "../../cli/management-client.ts";
import type { DiscoveredNetwork } from "../../network/discover.ts";
import { IFF, NUD, RT_TABLE } from "../../sys/netlink/records.ts";

const DEFAULT_QUEUE_LENGTH = 1000;

/** A network as lines that can be compared by eye and by program, each list sorted. */
export interface NetworkText {
  readonly interfaces: readonly string[];
  readonly addresses: readonly string[];
  readonly routes: readonly string[];
  readonly neighbors: readonly string[];
}

/**
 * The veths of a pod's netns, straight from the kernel's records: none of the code that plans the guest's network is
 * between them and the comparison. Main table and permanent neighbours: the rest is made by each kernel for itself.
 */
export function textOfNetns({ links, routes }: DiscoveredNetwork): NetworkText {
  const veths = links.filter(({ link }) => link.kind === "veth");
  const nameOf = new Map(veths.map(({ link }) => [link.index, link.name]));
  return {
    interfaces: veths
      .map(({ link }) => {
        // A NIC cannot be without a queue; the first qdisc gives a link without one this length too.
        const txQueueLength = link.txQueueLength || DEFAULT_QUEUE_LENGTH;
        return interfaceText({ ...link, txQueueLength, up: (link.flags & IFF.UP) !== 0 });
      })
      .toSorted(),
    addresses: veths
      .flatMap(({ link, addresses }) => addresses.map((one) => addressText({ ...one, device: link.name })))
      .toSorted(),
    routes: routes
      .filter(({ table, index }) => table === RT_TABLE.MAIN && nameOf.has(index))
      .map((route) => routeText({ ...route, device: nameOf.get(route.index) ?? "" }))
      .toSorted(),
    neighbors: veths
      .flatMap(({ link, neighbors }) =>
        neighbors.filter(isPermanent).map((one) => neighborText({ ...one, device: link.name })),
      )
      .toSorted(),
  };
}

/** What the guest says of itself, in the same words. */
export function textOfGuest({ interfaces, routes, neighbors }: GuestView): NetworkText {
  return {
    interfaces: interfaces.map(interfaceText).toSorted(),
    addresses: interfaces
      .flatMap(({ name, addresses }) => addresses.map((one) => addressText({ ...one, device: name })))
      .toSorted(),
    routes: routes
      .filter(({ table, device }) => table === RT_TABLE.MAIN && device !== "lo")
      .map(routeText)
      .toSorted(),
    neighbors: neighbors.filter(isPermanent).map(neighborText).toSorted(),
  };
}

const isPermanent = ({ state }: { state: number }): boolean => (state & NUD.PERMANENT) !== 0;

interface Nic {
  readonly name: string;
  readonly mac: string;
  readonly mtu: number;
  readonly up: boolean;
  readonly txQueueLength: number;
}
const interfaceText = ({ name, mac, mtu, up, txQueueLength }: Nic): string =>
  `${name} ${mac} mtu ${mtu} ${up ? "up" : "down"} qlen ${txQueueLength}`;

interface NicAddress {
  readonly address: string;
  readonly prefixLength: number;
  readonly scope: number;
  readonly peer?: string | undefined;
  readonly device: string;
}
const addressText = ({ address, prefixLength, peer, scope, device }: NicAddress): string =>
  `${address}/${prefixLength}${peer ? ` peer ${peer}` : ""} scope ${scope} dev ${device}`;

interface NicRoute {
  readonly destination: string;
  readonly gateway?: string | undefined;
  readonly device: string;
  readonly source?: string | undefined;
  readonly scope: number;
  readonly metric: number;
  readonly onLink: boolean;
}
const routeText = (route: NicRoute): string =>
  [
    route.destination,
    route.gateway ? `via ${route.gateway}` : "",
    `dev ${route.device}`,
    route.source ? `src ${route.source}` : "",
    `scope ${route.scope} metric ${route.metric}`,
    route.onLink ? "onlink" : "",
  ]
    .filter((part) => part !== "")
    .join(" ");

interface NicNeighbor {
  readonly address: string;
  readonly mac: string;
  readonly device: string;
}
const neighborText = ({ address, mac, device }: NicNeighbor): string => `${address} at ${mac} dev ${device}`;
