import test from "ava";
import type { Route } from "./records.ts";
import { routePlan } from "./route-difference.ts";

const route = (destination: string, more: Partial<Route> = {}): Route => ({
  family: destination.includes(":") ? 6 : 4,
  destination,
  gateway: undefined,
  index: 2,
  source: undefined,
  scope: 0,
  metric: destination.includes(":") ? 1024 : 0,
  table: 254,
  protocol: 3,
  type: 1,
  onLink: false,
  metrics: {},
  nextHops: [],
  preference: destination.includes(":") ? 0 : undefined,
  tos: 0,
  ...more,
});
const names = (routes: readonly Route[]): string[] => routes.map(({ destination }) => destination);

test("connected routes come first and go last", (t) => {
  const direct = route("169.254.1.1/32", { scope: 253 });
  const onLink = route("10.9.0.0/16", { gateway: "10.8.0.1", onLink: true });
  const fallback = route("0.0.0.0/0", { gateway: "169.254.1.1" });
  const all = [fallback, onLink, direct];
  t.deepEqual(names(routePlan([], all).add), ["169.254.1.1/32", "10.9.0.0/16", "0.0.0.0/0"]);
  t.deepEqual(names(routePlan(all, []).remove), ["0.0.0.0/0", "10.9.0.0/16", "169.254.1.1/32"]);
  t.deepEqual(routePlan(all, all), { remove: [], add: [] });
});

test("a route through several gateways waits like one through one", (t) => {
  const hop = { gateway: "10.0.0.1", index: 2, weight: 1, onLink: false, dead: false };
  const spread = route("10.5.0.0/16", { index: 0, nextHops: [hop, { ...hop, gateway: "10.0.0.2" }] });
  t.deepEqual(names(routePlan([], [spread, route("10.0.0.0/24", { scope: 253 })]).add), [
    "10.0.0.0/24",
    "10.5.0.0/16",
  ]);
});

test("kernel-made routes stay; the local table and multicast are not looked at", (t) => {
  const current = [
    route("10.0.0.0/24", { protocol: 2, scope: 253, source: "10.0.0.5" }),
    route("10.0.0.5/32", { table: 255, type: 2 }),
    route("ff00::/8", { table: 254, protocol: 2, type: 5 }),
    route("10.1.0.0/24"),
  ];
  t.deepEqual(names(routePlan(current, []).remove), ["10.1.0.0/24"]);
});

test("a wanted kernel-made route is there already, or is added", (t) => {
  const made = route("10.0.0.0/24", { protocol: 2, scope: 253, source: "10.0.0.5" });
  t.deepEqual(routePlan([made], [{ ...made, source: undefined }]), { remove: [], add: [] });
  t.deepEqual(routePlan([], [made]).add, [made]);
});

test("a wanted route takes the place of a kernel-made one", (t) => {
  const made = route("10.0.0.0/24", { protocol: 2, scope: 253 });
  const mine = route("10.0.0.0/24", { gateway: "10.0.0.1" });
  t.deepEqual(routePlan([made], [mine]), { remove: [made], add: [mine] });
});

test("any difference in content changes a route", (t) => {
  const before = route("10.2.0.0/16", { gateway: "10.0.0.1" });
  const changes: Partial<Route>[] = [
    { gateway: "10.0.0.2" },
    { index: 3 },
    { source: "10.0.0.5" },
    { scope: 253 },
    { protocol: 4 },
    { type: 7, index: 0 },
    { onLink: true },
    { metrics: { 2: 1400 } },
  ];
  for (const change of changes) {
    const after = { ...before, ...change };
    t.deepEqual(routePlan([before], [after]), { remove: [before], add: [after] }, JSON.stringify(change));
  }
});

test("destination, metric and table make another route", (t) => {
  const before = route("10.2.0.0/16");
  for (const change of [{ metric: 5 }, { table: 100 }, { destination: "10.3.0.0/16" }]) {
    const { remove, add } = routePlan([before], [before, { ...before, ...change }]);
    t.deepEqual([remove.length, add.length], [0, 1]);
  }
});

test("an IPv6 route is compared as the kernel lists it", (t) => {
  const listed = route("fd00::/64");
  t.deepEqual(routePlan([listed], [{ ...listed, metric: 0, scope: 253, preference: undefined }]), {
    remove: [],
    add: [],
  });
});

test("what a router advertised stays until it expires; a route of that protocol that does not is the pod's", (t) => {
  const learned = route("2001:db8::/32", { protocol: 9, expires: true });
  const ours = [
    route("2001:db8:1::/48", { protocol: 9 }),
    route("2001:db8:2::/48", { protocol: 9, type: 6, index: 0 }),
    route("10.170.0.0/16", { protocol: 9, type: 2, index: 1 }),
  ];
  t.deepEqual(names(routePlan([learned, ...ours], []).remove).toSorted(), names(ours).toSorted());
  t.deepEqual(routePlan([learned, ...ours], ours), { remove: [], add: [] });
});

test("routes that differ in nothing but their source are two", (t) => {
  const both = [
    route("10.153.0.0/16", { source: "10.3.1.199" }),
    route("10.153.0.0/16", { metrics: { 8: 1049 } }),
  ];
  t.deepEqual(routePlan([], both), { remove: [], add: both });
  t.deepEqual(routePlan(both, both), { remove: [], add: [] });
  t.deepEqual(routePlan(both.slice(0, 1), both), { remove: [], add: both.slice(1) });
});
