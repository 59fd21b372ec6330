import test from "ava";
import { Interface, Route } from "../../proto/gen/tapir/agent/v1/agent.ts";
import { reasonOf } from "../../sys/error.ts";
import {
  interfaceFromJson,
  interfaceToJson,
  neighborsFromJson,
  routesFromJson,
  routeToJson,
} from "./kata-json.ts";

test("an interface as Kata 1.x wrote it, masks as text", (t) => {
  const json = {
    Device: "veth7",
    Name: "eth1",
    IPAddresses: [{ Family: 2, Address: "10.0.0.2", Mask: "24" }],
    Mtu: 1400,
    HwAddr: "02:AA:00:00:00:01",
    PciPath: "",
    RawFlags: 0,
  };
  t.deepEqual(interfaceFromJson(json), {
    device: "veth7",
    name: "eth1",
    mac: "02:aa:00:00:00:01",
    mtu: 1400,
    addresses: [{ address: "10.0.0.2", prefixLength: 24 }],
    rxRateLimiterMaxRate: undefined,
    txRateLimiterMaxRate: undefined,
  });
  const limited = interfaceFromJson({ Name: "eth1", RxRateLimiterMaxRate: 8e6, TxRateLimiterMaxRate: 0 });
  t.like(limited, { rxRateLimiterMaxRate: 8_000_000n, txRateLimiterMaxRate: 0n });
  const listed = Interface.create({ name: "eth1", mac: "02:aa:00:00:00:01", mtu: 1400, up: true });
  listed.addresses.push({
    address: "fd00::2",
    prefixLength: 64,
    peer: "",
    broadcast: "",
    scope: 0,
    flags: 0,
    label: "",
    routeMetric: 0,
  });
  t.deepEqual(interfaceToJson(listed).IPAddresses, [{ Family: 10, Address: "fd00::2", Mask: "64" }]);
});

test("routes: default in its spellings, hosts without prefix, both families", (t) => {
  const routes = routesFromJson([
    { Dest: "", Gateway: "10.0.0.1", Device: "eth0" },
    { Dest: "default", Gateway: "fe80::1", Device: "eth0" },
    { Dest: "192.0.2.1", Device: "eth0", Scope: 253 },
    { Dest: "fd00::/8", Device: "eth0", Metric: "7" },
  ]);
  t.deepEqual(
    routes.map(({ destination, family, scope, metric }) => [destination, family, scope, metric]),
    [
      ["0.0.0.0/0", 4, 0, 0],
      ["::/0", 6, 0, 0],
      ["192.0.2.1/32", 4, 253, 0],
      ["fd00::/8", 6, 0, 7],
    ],
  );
  t.like(routeToJson(Route.create({ destination: "0.0.0.0/0", gateway: "10.0.0.1" })), {
    Dest: "0.0.0.0/0",
    Gateway: "10.0.0.1",
  });
  t.is(routesFromJson({ Dest: "10.0.0.0/8", Device: "eth0" }).length, 1, "one alone");
  const [mixed] = routesFromJson([{ Dest: "10.0.0.0/8", Gateway: "fe80::1", Device: "eth0" }]);
  t.is(mixed?.family, 4, "by way of the other family");
});

test("routes survive being listed and given back; the kernel's own are left to it", (t) => {
  const hop = { gateway: "10.0.0.1", device: "eth0", weight: 2, onLink: true };
  const route = Route.create({ family: 4, table: 254, protocol: 3, type: 1 });
  const routes = [
    {
      ...route,
      destination: "0.0.0.0/0",
      gateway: "10.0.0.1",
      device: "eth0",
      source: "10.0.0.2",
      protocol: 4,
    },
    {
      ...route,
      destination: "10.1.0.0/16",
      table: 100,
      tos: 8,
      nextHops: [hop, { ...hop, gateway: "10.0.0.3" }],
    },
    { ...route, destination: "10.2.0.0/16", type: 6, metric: 7, mtu: 1400, metrics: { 8: 1360 } },
    { ...route, destination: "fd00::/8", family: 6, gateway: "fe80::1", device: "eth0", preference: 2 },
  ];
  const kernels = [2, 9].map((protocol) => ({
    ...route,
    destination: "10.0.0.0/24",
    device: "eth0",
    protocol,
  }));
  const json: unknown = JSON.parse(JSON.stringify([...routes, ...kernels].map(routeToJson)));
  t.deepEqual(routesFromJson(json), routes);
});

test("what is no such thing is named", (t) => {
  const wrong: readonly [() => unknown, RegExp][] = [
    [() => interfaceFromJson([]), /cannot read interface: it is no JSON object/],
    [() => interfaceFromJson({ Mtu: "big" }), /cannot read Mtu: it is no whole number/],
    [() => interfaceFromJson({ Name: 7 }), /cannot read Name: it is no text/],
    [() => interfaceFromJson({ IPAddresses: "10.0.0.1" }), /cannot read IPAddresses: it is no JSON array/],
    [() => routesFromJson("x"), /cannot read routes/],
    [() => neighborsFromJson([7]), /cannot read neighbour/],
  ];
  for (const [read, text] of wrong) t.regex(reasonOf(t.throws(read)), text);
});
