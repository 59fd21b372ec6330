import test from "ava";
import type { Address, Route } from "../../sys/netlink/records.ts";
import { orphanedRoutes } from "./orphaned-route.ts";

const route = (destination: string, more: Partial<Route> = {}): Route => ({
  family: 6,
  destination,
  gateway: undefined,
  index: 2,
  source: undefined,
  scope: 0,
  metric: 256,
  table: 254,
  protocol: 2,
  type: 1,
  onLink: false,
  metrics: {},
  nextHops: [],
  preference: 0,
  tos: 0,
  ...more,
});
const address = (text: string, prefixLength: number, more: Partial<Address> = {}): Address => ({
  index: 2,
  family: 6,
  address: text,
  prefixLength,
  peer: undefined,
  broadcast: undefined,
  scope: 0,
  flags: 0,
  label: undefined,
  routeMetric: 0,
  ...more,
});

test("a route whose address is gone is an orphan, one whose address is there is none", (t) => {
  const routes = [route("fd00::/64"), route("fd00::9/128"), route("fd00:1::/64"), route("fe80::/64")];
  const addresses = [address("fd00::1", 64, { peer: "fd00::9" }), address("fe80::1", 64)];
  t.deepEqual(orphanedRoutes(routes, addresses), [route("fd00:1::/64")]);
  t.deepEqual(
    orphanedRoutes(routes.slice(0, 1), [address("fd00::1", 64, { flags: 0x200 })]),
    routes.slice(0, 1),
  );
  t.deepEqual(orphanedRoutes(routes.slice(0, 1), [address("fd00::1", 64, { index: 3 })]), routes.slice(0, 1));
});

test("a route whose address is gone is an orphan beside another address of that prefix, with another metric", (t) => {
  const routes = [route("fd00::/64"), route("fd00::/64", { metric: 364 })];
  t.deepEqual(orphanedRoutes(routes, [address("fd00::1", 64)]), routes.slice(1));
  t.deepEqual(orphanedRoutes(routes, [address("fd00::2", 64, { routeMetric: 364 })]), routes.slice(0, 1));
  const peer = route("fd00::9/128", { metric: 7 });
  t.deepEqual(orphanedRoutes([peer], [address("fd00::1", 64, { peer: "fd00::9", routeMetric: 7 })]), []);
});

test("what the kernel made for other reasons, or another made, is none", (t) => {
  const routes = [
    route("ff00::/8"),
    route("::1/128"),
    route("fd00::/64", { protocol: 3 }),
    route("fd00::/64", { table: 255 }),
    route("10.0.0.0/24", { family: 4 }),
  ];
  t.deepEqual(orphanedRoutes(routes, []), []);
});
