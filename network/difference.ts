import { NUD, RTN, RTPROT } from "../sys/netlink/records.ts";
import type {
  GuestAddress,
  GuestInterface,
  GuestNeighbor,
  GuestNetwork,
  GuestRoute,
  GuestRule,
} from "./guest-network.ts";
import { planRules } from "./guest-rule.ts";

/**
 * What differs between the network a guest should have and the one it says it has, a line each; empty when they are
 * equal. Routes that the guest's kernel made, and neighbours it learned, are its own affair. Pure.
 */
export function networkDifference(wanted: GuestNetwork, actual: GuestNetwork): string[] {
  return [
    ...compareSets("interface", wanted.interfaces, actual.interfaces, (nic) => nic.mac, compareInterface),
    ...compareSets("route", wanted.routes, configured(actual.routes, wanted.routes), routeKey, compareFields),
    ...compareSets("rule", wanted.rules, planRules(actual.rules), ruleText, () => []),
    ...compareSets(
      "neighbour",
      wanted.neighbors.filter(isPermanent),
      actual.neighbors.filter(isPermanent),
      neighborKey,
      compareFields,
    ),
    ...missingNeighbors(wanted.neighbors, actual.neighbors),
  ];
}

/** Without those that the guest's kernel makes with an address; what it learned from a router counts where it is wanted. */
function configured(routes: readonly GuestRoute[], wanted: readonly GuestRoute[]): GuestRoute[] {
  const keys = new Set(wanted.map(routeKey));
  return routes.filter((route) =>
    mayBeLearned(route) ? keys.has(routeKey(route)) : route.protocol !== RTPROT.KERNEL,
  );
}

/** A router advertises ways to somewhere, of IPv6. */
const mayBeLearned = ({ protocol, family, type }: GuestRoute): boolean =>
  protocol === RTPROT.RA && family === 6 && type === RTN.UNICAST;

const isPermanent = ({ state }: GuestNeighbor): boolean => (state & NUD.PERMANENT) !== 0;

const addressKey = ({ address, prefixLength }: GuestAddress): string => `${address}/${prefixLength}`;
const neighborKey = ({ address, device }: GuestNeighbor): string => `${address} dev ${device}`;

function routeKey({ destination, table, metric, gateway, device, type, tos }: GuestRoute): string {
  const via = gateway === "" ? "" : ` via ${gateway}`;
  const dev = device === "" ? "" : ` dev ${device}`;
  const forTos = tos === 0 ? "" : ` tos ${tos}`;
  return `${destination}${via}${dev}${forTos} metric ${metric} table ${table} type ${type}`;
}

/** What the rule says, without what it does not say. */
function ruleText(rule: GuestRule): string {
  const said = Object.entries(rule).filter(
    ([, value]) => value !== "" && value !== 0 && value !== false && value !== undefined,
  );
  return said
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([field, value]) => `${field} ${typeof value === "object" ? `${value.start}-${value.end}` : value}`)
    .join(" ");
}

/** An entry that was learned may be learned anew: what counts is that it is there, with the same MAC. */
function missingNeighbors(wanted: readonly GuestNeighbor[], actual: readonly GuestNeighbor[]): string[] {
  const known = new Set(actual.map((entry) => `${neighborKey(entry)} ${entry.mac}`));
  return wanted
    .filter((entry) => !isPermanent(entry) && !known.has(`${neighborKey(entry)} ${entry.mac}`))
    .map((entry) => `neighbour ${neighborKey(entry)} is missing`);
}

function compareInterface(what: string, wanted: GuestInterface, actual: GuestInterface): string[] {
  const { addresses: wantedAddresses, sysctls: wantedSysctls, ...wantedFields } = wanted;
  const { addresses: actualAddresses, sysctls: actualSysctls, ...actualFields } = actual;
  return [
    // A link without a queue (0) is nothing that a NIC can be told to be.
    ...compareFields(
      what,
      wantedFields.txQueueLength === 0
        ? { ...wantedFields, txQueueLength: actual.txQueueLength }
        : wantedFields,
      actualFields,
    ),
    ...compareSysctls(what, wantedSysctls, actualSysctls),
    ...compareSets(`${what}: address`, wantedAddresses, actualAddresses, addressKey, compareFields),
  ];
}

type Sysctls = GuestInterface["sysctls"];

function compareSysctls(what: string, wanted: Sysctls, actual: Sysctls): string[] {
  return [...new Set([...Object.keys(wanted), ...Object.keys(actual)])]
    .filter((key) => wanted[key] !== actual[key])
    .map((key) => `${what}: ${key} is ${actual[key] ?? "its own"}, want ${wanted[key] ?? "its own"}`);
}

function compareSets<Item>(
  what: string,
  wanted: readonly Item[],
  actual: readonly Item[],
  keyOf: (item: Item) => string,
  compare: (what: string, wanted: Item, actual: Item) => string[],
): string[] {
  // Several may have one key: IPv4 routes that differ in their source alone. Those that are there go first.
  const rest = Map.groupBy(actual, keyOf);
  const differing = wanted.filter((item) => {
    const alike = rest.get(keyOf(item)) ?? [];
    const equal = alike.findIndex((one) => compare("", item, one).length === 0);
    if (equal !== -1) alike.splice(equal, 1);
    return equal === -1;
  });
  const lines = differing.flatMap((item) => {
    const key = keyOf(item);
    const found = rest.get(key)?.shift();
    return found === undefined ? [`${what} ${key} is missing`] : compare(`${what} ${key}`, item, found);
  });
  const strange = [...rest].flatMap(([key, items]) => items.map(() => `${what} ${key} is not wanted`));
  return [...lines, ...strange];
}

function compareFields<Item extends object>(what: string, wanted: Item, actual: Item): string[] {
  const found = new Map(Object.entries(actual));
  return Object.entries(wanted)
    .map(([field, value]) => ({ field, want: JSON.stringify(value), is: JSON.stringify(found.get(field)) }))
    .filter(({ want, is }) => want !== is)
    .map(({ field, want, is }) => `${what}: ${field} is ${is}, want ${want}`);
}
