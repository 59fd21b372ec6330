import test from "ava";
import type { Route } from "../sys/netlink/records.ts";
import type { GuestRoute } from "./guest-network.ts";
import { planRoutes } from "./guest-route.ts";

const route = (destination: string, more: Partial<Route> = {}): Route => ({
  family: destination.includes(":") ? 6 : 4,
  destination,
  gateway: undefined,
  index: 2,
  source: undefined,
  scope: 0,
  metric: 0,
  table: 254,
  protocol: 3,
  type: 1,
  onLink: false,
  metrics: {},
  nextHops: [],
  preference: undefined,
  tos: 0,
  ...more,
});

function planned(what: { routes: Route[]; devices?: Record<number, string> }): GuestRoute[] {
  const devices = Object.entries(what.devices ?? { 1: "lo", 2: "eth0" });
  return planRoutes(what.routes, new Map(devices.map(([index, name]) => [Number(index), name])));
}

test("what the kernel makes by itself is left out: connected routes, local table, multicast", (t) => {
  const routes = planned({
    routes: [
      route("10.1.2.0/24", { protocol: 2, scope: 253, source: "10.1.2.3" }),
      route("10.1.2.3/32", { table: 255, type: 2, protocol: 2 }),
      route("10.1.2.255/32", { table: 255, type: 3, protocol: 2 }),
      route("2001:db8::/64", { protocol: 2, metric: 256, preference: 0 }),
      route("fe80::/64", { protocol: 2, metric: 256, preference: 0 }),
      route("ff00::/8", { table: 255, type: 5, protocol: 2 }),
      route("10.0.0.0/8", { type: 3 }),
      route("192.0.2.0/24", { table: 255, type: 2, index: 1 }),
    ],
  });
  t.deepEqual(routes, []);
});

test("a route that somebody made under a connected prefix of NOPREFIXROUTE goes along", (t) => {
  const routes = planned({ routes: [route("10.1.2.0/24", { scope: 253, source: "10.1.2.3" })] });
  t.deepEqual(
    routes.map(({ destination, scope, source }) => [destination, scope, source]),
    [["10.1.2.0/24", 253, "10.1.2.3"]],
  );
});

test("order: connected, then on-link gateways, then gateways; else as the kernel lists", (t) => {
  const routes = planned({
    routes: [
      route("0.0.0.0/0", { gateway: "10.1.2.1" }),
      route("10.5.0.0/16", { gateway: "10.1.2.2" }),
      route("10.6.0.0/16", { gateway: "169.254.1.1", onLink: true }),
      route("10.7.0.0/16", { scope: 253 }),
      route("10.8.0.0/16", { type: 6, index: 0 }),
      route("::/0", { gateway: "fe80::1" }),
      route("2001:db8:1::/48", {}),
    ],
  });
  t.deepEqual(
    routes.map(({ destination }) => destination),
    ["10.7.0.0/16", "10.8.0.0/16", "2001:db8:1::/48", "10.6.0.0/16", "0.0.0.0/0", "10.5.0.0/16", "::/0"],
  );
});

test("every attribute of a route arrives; absent ones are empty", (t) => {
  const routes = planned({
    routes: [
      route("2001:db8:5::/48", {
        gateway: "fe80::1",
        source: "2001:db8::2",
        metric: 55,
        table: 1000,
        protocol: 9,
        onLink: true,
        metrics: { 2: 1300, 8: 1240 },
        preference: 0,
      }),
    ],
  });
  t.deepEqual(routes, [
    {
      destination: "2001:db8:5::/48",
      family: 6,
      gateway: "fe80::1",
      device: "eth0",
      source: "2001:db8::2",
      scope: 0,
      metric: 55,
      table: 1000,
      protocol: 9,
      type: 1,
      onLink: true,
      mtu: 1300,
      metrics: { 8: 1240 },
      nextHops: [],
      preference: 1,
      tos: 0,
    },
  ]);
});

test("multipath over two NICs; discarding routes have no device", (t) => {
  const routes = planned({
    devices: { 2: "eth0", 3: "net1" },
    routes: [
      route("0.0.0.0/0", {
        index: 0,
        nextHops: [
          { gateway: "10.1.2.1", index: 2, weight: 2, onLink: false, dead: false },
          { gateway: undefined, index: 3, weight: 1, onLink: false, dead: false },
        ],
      }),
      ...[6, 7, 8, 9].map((type) => route(`10.${type}.0.0/16`, { type, index: 0 })),
    ],
  });
  t.deepEqual(
    routes.map(({ type, device }) => [type, device]),
    [
      [6, ""],
      [7, ""],
      [8, ""],
      [9, ""],
      [1, ""],
    ],
  );
  t.deepEqual(routes[4]?.nextHops, [
    { gateway: "10.1.2.1", device: "eth0", weight: 2, onLink: false },
    { gateway: "", device: "net1", weight: 1, onLink: false },
  ]);
});

test("routes over links without a NIC stay behind, routes over loopback go along", (t) => {
  const routes = planned({
    devices: { 1: "lo", 2: "eth0" },
    routes: [
      route("10.5.0.0/16", { index: 4 }),
      route("10.6.0.0/16", {
        index: 0,
        nextHops: [{ gateway: undefined, index: 4, weight: 1, onLink: false, dead: false }],
      }),
      route("10.7.0.0/16", { index: 1 }),
    ],
  });
  t.deepEqual(
    routes.map(({ destination, device }) => [destination, device]),
    [["10.7.0.0/16", "lo"]],
  );
});

test("a route with encapsulation stays behind: without it packets would go another way", (t) => {
  const devices = { 2: "eth0" };
  t.deepEqual(planned({ devices, routes: [route("10.9.0.0/16", { encapsulated: true })] }), []);
});
