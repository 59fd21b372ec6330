import { difference } from "./difference.ts";
import { type Route, RT_TABLE, RTPROT } from "./records.ts";

/** Which routes go and which come, each in the order in which the kernel takes them. */
export interface RoutePlan {
  readonly remove: readonly Route[];
  readonly add: readonly Route[];
}

/**
 * Routes that the kernel makes with an address, and for a router's advertisement: these expire. One of that protocol that does
 * not is the pod's.
 */
const isMadeHere = ({ protocol, expires }: Pick<Route, "protocol" | "expires">): boolean =>
  protocol === RTPROT.KERNEL || (protocol === RTPROT.RA && expires === true);
/** Metric that the kernel gives an IPv6 route without one (IP6_RT_PRIO_USER). */
const IPV6_METRIC = 1024;

/**
 * The steps from `current` to `wanted`. Routes that the kernel made with an address (protocol kernel) stay when
 * nobody wants them, and are content enough when somebody does.
 */
export function routePlan(current: readonly Route[], wanted: readonly Route[]): RoutePlan {
  const goal = wanted.map(asListed);
  const plan = difference(current.filter(isOurs), goal, keyOf, isSame);
  const replaced = plan.changed.map(({ from }) => from);
  const taken = new Set(goal.map(placeOf));
  const gone = plan.gone.filter((route) => !isMadeHere(route) || taken.has(placeOf(route)));
  return {
    remove: inOrder([...gone, ...replaced]).reverse(),
    add: inOrder([...plan.added, ...plan.changed.map(({ to }) => to)]),
  };
}

/** The local table and the multicast route of each IPv6 link are the kernel's alone. */
export function isOurs(route: Pick<Route, "table" | "destination">): boolean {
  return route.table !== RT_TABLE.LOCAL && route.destination !== "ff00::/8";
}

/** Whether it is the same route, in the same place, as the kernel lists both. */
export function isSameRoute(one: Route, other: Route): boolean {
  return placeOf(one) === placeOf(other) && contentOf(one) === contentOf(other);
}

/** Connected first, then gateways that need no route, then gateways that do: each finds its way when it comes. */
export function inOrder(routes: readonly Route[]): Route[] {
  return routes.toSorted((a, b) => rank(a) - rank(b));
}

function rank(route: Route): number {
  const hops = route.nextHops.length > 0 ? route.nextHops : [route];
  if (hops.every((hop) => hop.gateway === undefined)) return 0;
  return hops.every((hop) => hop.gateway === undefined || hop.onLink) ? 1 : 2;
}

/** Where the kernel looks a route up. Several may lie there: the same prefix on two links. */
function placeOf({ family, destination, metric, table, tos }: Route): string {
  return `${family} ${destination} ${metric} ${table} ${tos}`;
}

/** IPv4 has several in one place that differ in nothing but their source, or a metric; of the kernel's own there is one. */
function keyOf(route: Route): string {
  const rest = route.protocol === RTPROT.KERNEL ? `${route.gateway ?? ""} ${route.index}` : contentOf(route);
  return `${placeOf(route)} ${rest}`;
}

/** The wanted route as the kernel will list it. */
function asListed(route: Route): Route {
  if (route.family === 4) return { ...route, preference: undefined };
  const metric = route.metric === 0 ? IPV6_METRIC : route.metric;
  return { ...route, scope: 0, tos: 0, metric, preference: route.preference ?? 0 };
}

function isSame(current: Route, wanted: Route): boolean {
  if (current.protocol === RTPROT.KERNEL && wanted.protocol === RTPROT.KERNEL) {
    return current.index === wanted.index && current.type === wanted.type;
  }
  return contentOf(current) === contentOf(wanted);
}

function contentOf(route: Route): string {
  const { gateway, index, source, scope, protocol, type, onLink, preference } = route;
  const hops = route.nextHops.map((hop) => [hop.gateway ?? "", hop.index, hop.weight, hop.onLink, hop.dead]);
  const metrics = Object.entries(route.metrics)
    .filter(([, value]) => value !== 0)
    .sort(([a], [b]) => Number(a) - Number(b));
  const rest = [source ?? "", scope, protocol, type, onLink, preference ?? 0];
  return JSON.stringify([gateway ?? "", index, ...rest, metrics, hops]);
}
