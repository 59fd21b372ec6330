import { difference } from "../../sys/netlink/difference.ts";
import { type Address, IFA_F } from "../../sys/netlink/records.ts";

/** Flags that somebody asked for; the others are the kernel's account of the address. */
export const KEPT_FLAGS =
  IFA_F.HOMEADDRESS | IFA_F.DEPRECATED | IFA_F.MANAGETEMPADDR | IFA_F.NOPREFIXROUTE | IFA_F.MCAUTOJOIN;

/** What has to be done, in this order. */
export interface AddressPlan {
  readonly remove: readonly Address[];
  readonly add: readonly Address[];
}

/**
 * The steps from `current` to `wanted`, both as the kernel lists them. Their order is part of them: of two addresses that are
 * equally good the kernel sends from the first one. Duplicate address detection is never asked for.
 */
export function addressPlan(current: readonly Address[], wanted: readonly Address[]): AddressPlan {
  const goal = inOrderOfArrival(wanted).map(asAdded);
  const { gone, changed, added } = difference(inOrderOfArrival(current), goal, keyOf, isSame);
  const leaving = [...gone, ...changed.map(({ from }) => from)];
  const coming = [...added, ...changed.map(({ to }) => to)];
  const left = new Set(leaving.map(keyOf));
  const late = displaced(
    inOrderOfArrival(current).filter((address) => !left.has(keyOf(address))),
    goal,
  );
  const arriving = new Set([...coming, ...late].map(keyOf));
  return { remove: [...leaving, ...late], add: goal.filter((address) => arriving.has(keyOf(address))) };
}

/** IPv6 lists the newest first, IPv4 last. */
function inOrderOfArrival(addresses: readonly Address[]): Address[] {
  return addresses
    .filter(({ family }) => family === 4)
    .concat(addresses.filter(({ family }) => family === 6).reverse());
}

/** Those that are there and have to come again, because one that comes before them is not there yet. */
function displaced(present: readonly Address[], goal: readonly Address[]): Address[] {
  const rows = new Map<string, Address[]>();
  for (const address of present) {
    const row = `${address.index} ${address.family}`;
    rows.set(row, [...(rows.get(row) ?? []), address]);
  }
  return [...rows].flatMap(([row, addresses]) => {
    const wanted = goal.filter(({ index, family }) => `${index} ${family}` === row).map(keyOf);
    const first = addresses.findIndex((address, at) => keyOf(address) !== wanted[at]);
    return first === -1 ? [] : addresses.slice(first);
  });
}

/** IPv6 knows an address by itself, IPv4 by prefix and peer too: one more is then one more. */
function keyOf({ index, family, address, prefixLength, peer }: Address): string {
  return `${index} ${address}${family === 6 ? "" : `/${prefixLength} ${peer ?? ""}`}`;
}

function asAdded(address: Address): Address {
  const flags = address.flags & KEPT_FLAGS;
  // CNI has verified it on the host's side of the same wire.
  return { ...address, flags: address.family === 6 ? flags | IFA_F.NODAD : flags };
}

function isSame(current: Address, wanted: Address): boolean {
  return (
    current.prefixLength === wanted.prefixLength &&
    current.peer === wanted.peer &&
    (current.family === 6 || current.scope === wanted.scope) &&
    current.broadcast === wanted.broadcast &&
    current.routeMetric === wanted.routeMetric &&
    (current.flags & KEPT_FLAGS) === (wanted.flags & KEPT_FLAGS) &&
    // Without a wish IPv4 takes the name of the link; IPv6 has none.
    (wanted.label === undefined || wanted.family === 6 || current.label === wanted.label)
  );
}
