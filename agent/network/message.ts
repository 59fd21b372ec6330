import type * as api from "../../proto/gen/tapir/agent/v1/agent.ts";
import { formatIp, parseCidr, parseIp } from "../../sys/netlink/address-text.ts";
import {
  type Address,
  IFF,
  type Link,
  type Neighbor,
  type Route,
  RTAX,
  type Rule,
} from "../../sys/netlink/records.ts";
import { livingRoute } from "../../sys/netlink/route.ts";
import { KEPT_FLAGS } from "./address-difference.ts";

// The kernel's records as messages of the API and back. The API names links, the kernel counts them.

export type NameOf = (index: number) => string;
export type IndexOf = (name: string) => number;

export function toInterface(link: Link, addresses: readonly Address[]): api.Interface {
  return {
    name: link.name,
    mac: link.mac,
    mtu: link.mtu,
    addresses: addresses.filter(({ index }) => index === link.index).map(toAddress),
    up: (link.flags & IFF.UP) !== 0,
    noArp: (link.flags & IFF.NOARP) !== 0,
    promiscuous: (link.flags & IFF.PROMISC) !== 0,
    allMulticast: (link.flags & IFF.ALLMULTI) !== 0,
    multicast: (link.flags & IFF.MULTICAST) !== 0,
    txQueueLength: link.txQueueLength,
    hardwareMac: undefined,
    port: undefined,
    sysctls: {},
  };
}

function toAddress(address: Address): api.InterfaceAddress {
  return {
    address: address.address,
    prefixLength: address.prefixLength,
    peer: address.peer ?? "",
    broadcast: address.broadcast ?? "",
    scope: address.scope,
    flags: address.flags & KEPT_FLAGS,
    label: address.label ?? "",
    routeMetric: address.routeMetric,
  };
}

export function fromAddress(address: api.InterfaceAddress, index: number): Address {
  const { prefixLength, peer, broadcast, scope, flags, label, routeMetric } = address;
  return {
    index,
    family: address.address.includes(":") ? 6 : 4,
    address: canonical(address.address),
    prefixLength,
    peer: optionalIp(peer),
    broadcast: optionalIp(broadcast),
    scope,
    flags,
    label: label === "" ? undefined : label,
    routeMetric,
  };
}

export function toRoute(listed: Route, nameOf: NameOf): api.Route {
  const route = livingRoute(listed);
  const { [RTAX.MTU]: mtu = 0, ...metrics } = route.metrics;
  return {
    destination: route.destination,
    family: route.family,
    gateway: route.gateway ?? "",
    device: nameOf(route.index),
    source: route.source ?? "",
    scope: route.scope,
    metric: route.metric,
    table: route.table,
    protocol: route.protocol,
    type: route.type,
    onLink: route.onLink,
    mtu,
    metrics,
    nextHops: route.nextHops.map((hop) => ({
      gateway: hop.gateway ?? "",
      device: nameOf(hop.index),
      weight: hop.weight,
      onLink: hop.onLink,
    })),
    preference: route.preference === undefined ? 0 : route.preference + 1,
    tos: route.tos,
  };
}

export function fromRoute(route: api.Route, indexOf: IndexOf): Route {
  const { bytes, prefixLength } = parseCidr(route.destination);
  const mtu = route.mtu === 0 ? {} : { [RTAX.MTU]: route.mtu };
  return {
    family: route.family === 6 ? 6 : 4,
    destination: `${formatIp(bytes)}/${prefixLength}`,
    gateway: optionalIp(route.gateway),
    index: route.device === "" ? 0 : indexOf(route.device),
    source: optionalIp(route.source),
    scope: route.scope,
    metric: route.metric,
    table: route.table,
    protocol: route.protocol,
    type: route.type,
    onLink: route.onLink,
    metrics: { ...route.metrics, ...mtu },
    nextHops: route.nextHops.map((hop) => ({
      gateway: optionalIp(hop.gateway),
      index: indexOf(hop.device),
      weight: hop.weight,
      onLink: hop.onLink,
      dead: false,
    })),
    preference: route.preference === 0 ? undefined : route.preference - 1,
    tos: route.tos,
  };
}

export function toNeighbor(neighbor: Neighbor, nameOf: NameOf): api.Neighbor {
  const { index, address, mac, state, flags } = neighbor;
  return { device: nameOf(index), address, mac, state, flags };
}

export function fromNeighbor(neighbor: api.Neighbor, indexOf: IndexOf): Neighbor {
  const { device, address, mac, state, flags } = neighbor;
  const family = address.includes(":") ? 6 : 4;
  return { index: indexOf(device), family, address: canonical(address), mac, state, flags };
}

/** The API's rules are the kernel's: only the family is looser there. */
export function fromRule(rule: api.Rule): Rule {
  return { ...rule, family: rule.family === 6 ? 6 : 4 };
}

function optionalIp(text: string): string | undefined {
  return text === "" ? undefined : canonical(text);
}

/** The host may write an IPv6 address in another way than the kernel's list gives it; of IPv4 there is one. */
function canonical(text: string): string {
  return text.includes(":") ? formatIp(parseIp(text)) : text;
}
