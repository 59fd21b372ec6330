import { type Route, RT_TABLE, RTAX, RTN, RTPROT } from "../sys/netlink/records.ts";
import { livingRoute } from "../sys/netlink/route.ts";
import { inOrder } from "../sys/netlink/route-difference.ts";
import type { GuestRoute } from "./guest-network.ts";

/** Types that a route somebody configured can have; the others belong to the kernel's own tables. */
const CONFIGURED_TYPES: readonly number[] = [
  RTN.UNICAST,
  // To the pod itself: what a transparent proxy asks for.
  RTN.LOCAL,
  RTN.MULTICAST,
  RTN.BLACKHOLE,
  RTN.UNREACHABLE,
  RTN.PROHIBIT,
  RTN.THROW,
];

/**
 * The routes that the guest does not make by itself, in an order in which each can be added: without a gateway first,
 * then on-link gateways, then gateways that need one of those. `devices` names the links that the guest has. Pure.
 */
export function planRoutes(routes: readonly Route[], devices: ReadonlyMap<number, string>): GuestRoute[] {
  const led = routes.map(livingRoute).filter((route) => isConfigured(route) && leadsInto(route, devices));
  return inOrder(led).map((route) => planRoute(route, devices));
}

function isConfigured({ protocol, table, type, encapsulated }: Route): boolean {
  // Without what wraps them, packets would go another way: better none.
  if (encapsulated === true) return false;
  return protocol !== RTPROT.KERNEL && table !== RT_TABLE.LOCAL && CONFIGURED_TYPES.includes(type);
}

function leadsInto(route: Route, devices: ReadonlyMap<number, string>): boolean {
  const indices = [route.index, ...route.nextHops.map(({ index }) => index)];
  return indices.every((index) => index === 0 || devices.has(index));
}

function planRoute(route: Route, devices: ReadonlyMap<number, string>): GuestRoute {
  const deviceOf = (index: number): string => devices.get(index) ?? "";
  const { [RTAX.MTU]: mtu = 0, ...metrics } = route.metrics;
  return {
    destination: route.destination,
    family: route.family,
    gateway: route.gateway ?? "",
    device: deviceOf(route.index),
    source: route.source ?? "",
    scope: route.scope,
    metric: route.metric,
    table: route.table,
    protocol: route.protocol,
    type: route.type,
    onLink: route.onLink,
    mtu,
    metrics,
    nextHops: route.nextHops.map(({ gateway, index, weight, onLink }) => ({
      gateway: gateway ?? "",
      device: deviceOf(index),
      weight,
      onLink,
    })),
    preference: route.preference === undefined ? 0 : route.preference + 1,
    tos: route.tos,
  };
}
