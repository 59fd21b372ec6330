import type { DiscoveredLink, DiscoveredNetwork } from "../../network/discover.ts";
import type { GuestInterface, GuestNetwork, GuestRoute } from "../../network/guest-network.ts";
import { IFA_F, IFF, type Link, NUD, type Route, RT_TABLE, RTAX } from "../../sys/netlink/records.ts";
import { livingRoute } from "../../sys/netlink/route.ts";

/**
 * The kernel's records of the netns beside the guest's own lists, in words, in their orders: nothing of what plans the guest's
 * network is in between. Routes that each kernel makes for itself are compared like all others.
 */
export function recordDifferences(network: DiscoveredNetwork, guest: GuestNetwork): string[] {
  const used = network.links.filter(
    ({ link, addresses }) => (link.flags & IFF.UP) !== 0 || addresses.length > 0,
  );
  const names = new Map([
    [network.loopbackIndex, "lo"],
    ...used.map(({ link }) => [link.index, link.name] as const),
  ]);
  const sides = {
    interfaces: [
      used.map(({ link }) => linkText(link)),
      guest.interfaces.map((nic) => guestLinkText(nic, used)),
    ],
    sysctls: [
      used.flatMap(({ link, sysctls }) => sysctlTexts(link.name, sysctls)),
      guest.interfaces.flatMap(({ name, sysctls }) => sysctlTexts(name, sysctls)),
    ],
    addresses: [
      used.flatMap(({ link, addresses }) =>
        addresses.map((one) =>
          addressText({ ...one, peer: one.peer ?? "", broadcast: one.broadcast ?? "" }, link.name),
        ),
      ),
      guest.interfaces.flatMap(({ name, addresses }) => addresses.map((one) => addressText(one, name))),
    ],
    routes: [
      network.routes
        .map(livingRoute)
        .filter((route) => isCompared(route) && leadsInto(route, names))
        .map((route) => routeText(route, names)),
      guest.routes.filter(isCompared).map(guestRouteText),
    ],
    neighbors: [
      used.flatMap(({ link, neighbors }) =>
        neighbors
          .filter(isPermanent)
          .map(({ address, mac, flags }) => `${address} ${mac} ${flags} ${link.name}`),
      ),
      guest.neighbors
        .filter(isPermanent)
        .map(({ address, mac, flags, device }) => `${address} ${mac} ${flags} ${device}`),
    ],
    rules: [network.rules.map(ruleText), guest.rules.map(ruleText)],
  };
  return Object.entries(sides).flatMap(([what, [ofNetns = [], ofGuest = []]]) => {
    // The order of addresses decides which one a packet leaves with, that of rules which one counts.
    const ordered = what === "addresses" || what === "rules";
    const [left, right] = ordered
      ? [byDevice(ofNetns), byDevice(ofGuest)]
      : [ofNetns.toSorted(), ofGuest.toSorted()];
    if (JSON.stringify(left) === JSON.stringify(right)) return [];
    const missing = left.filter((line) => !right.includes(line));
    const strange = right.filter((line) => !left.includes(line));
    if (missing.length + strange.length === 0)
      return [`order of ${what}: ${right.join("; ")}, want ${left.join("; ")}`];
    return [
      ...missing.map((line) => `${what}: only in the netns: ${line}`),
      ...strange.map((line) => `${what}: only in the guest: ${line}`),
    ];
  });
}

function linkText({ name, mac, mtu, flags, txQueueLength }: Link): string {
  const said = FLAGS.filter(([flag]) => (flags & flag) !== 0).map(([, word]) => word);
  return `${name} ${mac} ${mtu} ${said.join(",")} qlen ${txQueueLength}`;
}

function guestLinkText(nic: GuestInterface, used: readonly DiscoveredLink[]): string {
  const said = FLAGS.filter(([, , isSet]) => isSet(nic)).map(([, word]) => word);
  // A NIC cannot be told to have no queue.
  const without = used.some(({ link }) => link.name === nic.name && link.txQueueLength === 0);
  return `${nic.name} ${nic.mac} ${nic.mtu} ${said.join(",")} qlen ${without ? 0 : nic.txQueueLength}`;
}

/** In the kernel's record, in words, and in the guest's. */
const FLAGS: readonly (readonly [number, string, (nic: GuestInterface) => boolean])[] = [
  [IFF.UP, "up", ({ up }) => up],
  [IFF.NOARP, "noarp", ({ noArp }) => noArp],
  [IFF.PROMISC, "promisc", ({ promiscuous }) => promiscuous],
  [IFF.ALLMULTI, "allmulti", ({ allMulticast }) => allMulticast],
  [IFF.MULTICAST, "multicast", ({ multicast }) => multicast],
];

const sysctlTexts = (name: string, sysctls: Readonly<Record<string, string>>): string[] =>
  Object.entries(sysctls).map(([key, value]) => `${key} = ${value} ${name}`);

const isPermanent = ({ state }: { state: number }): boolean => (state & NUD.PERMANENT) !== 0;

/** Each kernel numbers its links in its own order. */
function byDevice(lines: readonly string[]): string[] {
  const deviceOf = (line: string): string => line.split(" ").at(-1) ?? "";
  return lines.toSorted((a, b) => (deviceOf(a) < deviceOf(b) ? -1 : deviceOf(a) > deviceOf(b) ? 1 : 0));
}

interface AnAddress {
  readonly address: string;
  readonly prefixLength: number;
  readonly peer: string;
  readonly broadcast: string;
  readonly scope: number;
  readonly flags: number;
  readonly label?: string | undefined;
  readonly routeMetric: number;
}

function addressText(one: AnAddress, device: string): string {
  const flags = one.flags & (IFA_F.DEPRECATED | IFA_F.HOMEADDRESS);
  const peer = one.peer === "" ? "" : ` peer ${one.peer}`;
  return `${one.address}/${one.prefixLength}${peer} brd ${one.broadcast || "-"} scope ${one.scope} flags ${flags} metric ${one.routeMetric} ${one.label ?? ""} dev ${device}`;
}

/** All but the kernel's local table, IPv6's multicast routes, and the loopback route that older kernels list. */
function isCompared({ table, destination }: { table: number; destination: string }): boolean {
  return table !== RT_TABLE.LOCAL && destination !== "ff00::/8" && destination !== "::1/128";
}

function leadsInto({ index, nextHops }: Route, names: ReadonlyMap<number, string>): boolean {
  return [index, ...nextHops.map((hop) => hop.index)].every((one) => one === 0 || names.has(one));
}

function routeText(route: Route, names: ReadonlyMap<number, string>): string {
  const { [RTAX.MTU]: mtu = 0, ...metrics } = route.metrics;
  return guestRouteText({
    ...route,
    gateway: route.gateway ?? "",
    source: route.source ?? "",
    device: names.get(route.index) ?? "",
    mtu,
    metrics,
    preference: route.preference === undefined ? 0 : route.preference + 1,
    nextHops: route.nextHops.map((hop) => ({
      ...hop,
      gateway: hop.gateway ?? "",
      device: names.get(hop.index) ?? "",
    })),
  });
}

function guestRouteText(route: GuestRoute): string {
  const hops = route.nextHops.map(({ gateway, device, weight, onLink }) => [gateway, device, weight, onLink]);
  const metrics = Object.entries(route.metrics).toSorted(([a], [b]) => Number(a) - Number(b));
  const { destination, gateway, device, source, scope, metric, table, protocol, type, tos } = route;
  return `${destination} via ${gateway || "-"} dev ${device || "-"} src ${source || "-"} scope ${scope} metric ${metric} table ${table} proto ${protocol} type ${type} tos ${tos} onlink ${route.onLink} mtu ${route.mtu} metrics ${JSON.stringify(metrics)} pref ${route.preference} hops ${JSON.stringify(hops)}`;
}

function ruleText(rule: object): string {
  const said = Object.entries(rule).filter(([, value]) => value !== undefined);
  return JSON.stringify(said.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
