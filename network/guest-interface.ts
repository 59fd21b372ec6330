import { prefixText } from "../sys/netlink/address-text.ts";
import { type Address, IFA_F, IFF, type Route, RTPROT } from "../sys/netlink/records.ts";
import type { DiscoveredLink } from "./discover.ts";
import type { GuestAddress, GuestInterface } from "./guest-network.ts";

/** What an address means; the other flags say how far the kernel is with it (tentative, permanent, ...). */
const KEPT_FLAGS =
  IFA_F.HOMEADDRESS | IFA_F.DEPRECATED | IFA_F.MANAGETEMPADDR | IFA_F.NOPREFIXROUTE | IFA_F.MCAUTOJOIN;

/** The link as the guest's NIC; `routes` are those of its namespace. Pure. */
export function planInterface(
  { link, addresses, sysctls }: DiscoveredLink,
  routes: readonly Route[],
): GuestInterface {
  const has = (flag: number): boolean => (link.flags & flag) !== 0;
  const up = has(IFF.UP);
  return {
    name: link.name,
    mac: link.mac,
    mtu: link.mtu,
    addresses: addresses
      .filter(isUsable)
      .map((address) => planAddress(address, up && lacksPrefixRoute(address, routes))),
    up,
    noArp: has(IFF.NOARP),
    promiscuous: has(IFF.PROMISC),
    allMulticast: has(IFF.ALLMULTI),
    multicast: has(IFF.MULTICAST),
    txQueueLength: link.txQueueLength,
    sysctls: { ...sysctls },
  };
}

/**
 * The kernel routes an address's prefix to its link by itself. A CNI that took this route away (ptp does) wants all
 * traffic to go by the gateway: the guest's kernel must not make it either.
 */
function lacksPrefixRoute(
  { index, address, peer, prefixLength, family }: Address,
  routes: readonly Route[],
): boolean {
  if (family === 4 && prefixLength === 32 && peer === undefined) return false;
  // IPv4 has the peer's prefix, IPv6 the own one (and another route to the peer).
  const prefix = prefixText(family === 4 ? (peer ?? address) : address, prefixLength);
  return !routes.some(
    (route) => route.index === index && route.protocol === RTPROT.KERNEL && route.destination === prefix,
  );
}

/** Another node has it: the pod itself could not use it either. */
function isUsable({ flags }: Address): boolean {
  return (flags & IFA_F.DADFAILED) === 0;
}

/**
 * Link-local addresses go to the guest like all others. From the same MAC the guest's kernel makes the same one by
 * itself; a pod whose namespace makes another one, or none, has it that way in the guest too.
 */
function planAddress(address: Address, withoutPrefixRoute: boolean): GuestAddress {
  return {
    address: address.address,
    prefixLength: address.prefixLength,
    peer: address.peer ?? "",
    broadcast: address.broadcast ?? "",
    scope: address.scope,
    flags: (address.flags & KEPT_FLAGS) | (withoutPrefixRoute ? IFA_F.NOPREFIXROUTE : 0),
    label: address.label ?? "",
    routeMetric: address.routeMetric,
  };
}
