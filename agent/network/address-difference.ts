import { type Address, IFA_F } from "../../sys/netlink/records.ts";
import { type Difference, difference } from "./difference.ts";

/** Flags that somebody asked for; the others are the kernel's account of the address. */
export const KEPT_FLAGS =
  IFA_F.HOMEADDRESS | IFA_F.DEPRECATED | IFA_F.MANAGETEMPADDR | IFA_F.NOPREFIXROUTE | IFA_F.MCAUTOJOIN;

/** Which addresses go, come and change. Duplicate address detection is never asked for. */
export function addressDifference(
  current: readonly Address[],
  wanted: readonly Address[],
): Difference<Address> {
  return difference(current, wanted.map(asAdded), keyOf, isSame);
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
