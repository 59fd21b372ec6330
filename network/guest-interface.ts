import { type Address, IFA_F, IFF } from "../sys/netlink/records.ts";
import type { DiscoveredLink } from "./discover.ts";
import type { GuestAddress, GuestInterface } from "./guest-network.ts";

/** What an address means; the other flags say how far the kernel is with it (tentative, permanent, ...). */
const KEPT_FLAGS = IFA_F.HOMEADDRESS | IFA_F.MANAGETEMPADDR | IFA_F.NOPREFIXROUTE | IFA_F.MCAUTOJOIN;

/** The link as the guest's NIC. Pure. */
export function planInterface({ link, addresses }: DiscoveredLink): GuestInterface {
  const has = (flag: number): boolean => (link.flags & flag) !== 0;
  return {
    name: link.name,
    mac: link.mac,
    mtu: link.mtu,
    addresses: addresses.filter(isUsable).map(planAddress),
    up: has(IFF.UP),
    noArp: has(IFF.NOARP),
    promiscuous: has(IFF.PROMISC),
    allMulticast: has(IFF.ALLMULTI),
    multicast: has(IFF.MULTICAST),
    txQueueLength: link.txQueueLength,
  };
}

/** Another node has it: the pod itself could not use it either. */
function isUsable({ flags }: Address): boolean {
  return (flags & IFA_F.DADFAILED) === 0;
}

/**
 * Link-local addresses go to the guest like all others. From the same MAC the guest's kernel makes the same one by
 * itself; a pod whose namespace makes another one, or none, has it that way in the guest too.
 */
function planAddress(address: Address): GuestAddress {
  return {
    address: address.address,
    prefixLength: address.prefixLength,
    peer: address.peer ?? "",
    broadcast: address.broadcast ?? "",
    scope: address.scope,
    flags: address.flags & KEPT_FLAGS,
    label: address.label ?? "",
  };
}
