import { NUD, RTPROT } from "../sys/netlink/records.ts";
import type {
  GuestAddress,
  GuestInterface,
  GuestNeighbor,
  GuestNetwork,
  GuestRoute,
} from "./guest-network.ts";

/**
 * What differs between the network a guest should have and the one it says it has, a line each; empty when they are
 * equal. Routes that the guest's kernel made, and neighbours it learned, are its own affair. Pure.
 */
export function networkDifference(wanted: GuestNetwork, actual: GuestNetwork): string[] {
  return [
    ...compareSets("interface", wanted.interfaces, actual.interfaces, (nic) => nic.mac, compareInterface),
    ...compareSets("route", wanted.routes, actual.routes.filter(isConfigured), routeKey, compareFields),
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

const isConfigured = ({ protocol }: GuestRoute): boolean => protocol !== RTPROT.KERNEL;
const isPermanent = ({ state }: GuestNeighbor): boolean => (state & NUD.PERMANENT) !== 0;

const addressKey = ({ address, prefixLength }: GuestAddress): string => `${address}/${prefixLength}`;
const neighborKey = ({ address, device }: GuestNeighbor): string => `${address} dev ${device}`;

function routeKey({ destination, table, metric, gateway, device, type }: GuestRoute): string {
  const via = gateway === "" ? "" : ` via ${gateway}`;
  const dev = device === "" ? "" : ` dev ${device}`;
  return `${destination}${via}${dev} metric ${metric} table ${table} type ${type}`;
}

/** An entry that was learned may be learned anew: what counts is that it is there, with the same MAC. */
function missingNeighbors(wanted: readonly GuestNeighbor[], actual: readonly GuestNeighbor[]): string[] {
  const known = new Set(actual.map((entry) => `${neighborKey(entry)} ${entry.mac}`));
  return wanted
    .filter((entry) => !isPermanent(entry) && !known.has(`${neighborKey(entry)} ${entry.mac}`))
    .map((entry) => `neighbour ${neighborKey(entry)} is missing`);
}

function compareInterface(what: string, wanted: GuestInterface, actual: GuestInterface): string[] {
  const { addresses: wantedAddresses, ...wantedFields } = wanted;
  const { addresses: actualAddresses, ...actualFields } = actual;
  return [
    ...compareFields(what, wantedFields, actualFields),
    ...compareSets(`${what}: address`, wantedAddresses, actualAddresses, addressKey, compareFields),
  ];
}

function compareSets<Item>(
  what: string,
  wanted: readonly Item[],
  actual: readonly Item[],
  keyOf: (item: Item) => string,
  compare: (what: string, wanted: Item, actual: Item) => string[],
): string[] {
  const rest = new Map(actual.map((item) => [keyOf(item), item]));
  const lines = wanted.flatMap((item) => {
    const key = keyOf(item);
    const found = rest.get(key);
    rest.delete(key);
    return found === undefined ? [`${what} ${key} is missing`] : compare(`${what} ${key}`, item, found);
  });
  return [...lines, ...[...rest.keys()].map((key) => `${what} ${key} is not wanted`)];
}

function compareFields<Item extends object>(what: string, wanted: Item, actual: Item): string[] {
  const found = new Map(Object.entries(actual));
  return Object.entries(wanted)
    .map(([field, value]) => ({ field, want: JSON.stringify(value), is: JSON.stringify(found.get(field)) }))
    .filter(({ want, is }) => want !== is)
    .map(({ field, want, is }) => `${what}: ${field} is ${is}, want ${want}`);
}
