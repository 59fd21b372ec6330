import test from "ava";
import type { Address, Link, Neighbor, Route } from "../sys/netlink/records.ts";
import type { DiscoveredNetwork } from "./discover.ts";
import { planGuest } from "./guest-plan.ts";
import { planNics } from "./nic-plan.ts";

const UP = 0x1_1043;

const link = (index: number, name: string, more: Partial<Link> = {}): Link => ({
  index,
  name,
  kind: "veth",
  type: 1,
  mac: `02:00:00:00:00:0${index}`,
  mtu: 1500,
  flags: UP,
  txQueueLength: 1000,
  peerIndex: 9,
  masterIndex: 0,
  operationalState: 6,
  alias: "",
  ...more,
});

const address = (text: string, more: Partial<Address> = {}): Address => {
  const six = text.includes(":");
  return {
    index: 2,
    family: six ? 6 : 4,
    address: text,
    prefixLength: six ? 64 : 24,
    peer: undefined,
    broadcast: undefined,
    scope: 0,
    flags: 0x80,
    label: six ? undefined : "eth0",
    routeMetric: 0,
    ...more,
  };
};

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

const neighbor = (text: string, state: number, more: Partial<Neighbor> = {}): Neighbor => ({
  index: 2,
  family: text.includes(":") ? 6 : 4,
  address: text,
  mac: "02:00:00:00:00:ff",
  state,
  flags: 0,
  ...more,
});

interface Found {
  readonly links?: readonly Link[];
  readonly addresses?: readonly Address[];
  readonly routes?: readonly Route[];
  readonly neighbors?: readonly Neighbor[];
}

function found({
  links = [link(2, "eth0")],
  addresses = [],
  routes = [],
  neighbors = [],
}: Found): DiscoveredNetwork {
  return {
    netns: "/run/netns/cni-1",
    netnsInode: 1,
    loopbackIndex: 1,
    links: links.map((one) => ({
      link: one,
      addresses: addresses.filter(({ index }) => index === one.index),
      neighbors: neighbors.filter(({ index }) => index === one.index),
      sysctls: {},
    })),
    rules: [],
    routes,
  };
}

const plan = (what: Found) => {
  const network = found(what);
  const nics = planNics(network, { model: { name: "tcfilter", serves: ["veth"] }, vcpus: 1 });
  return planGuest(network, nics);
};

test("the NIC is the link: name, MAC, MTU, flags, queue length", (t) => {
  const { interfaces } = plan({
    links: [link(2, "eth0", { mtu: 1400, txQueueLength: 7, flags: UP | 0x80 | 0x100 | 0x200 })],
  });
  t.deepEqual(interfaces, [
    {
      name: "eth0",
      mac: "02:00:00:00:00:02",
      mtu: 1400,
      addresses: [],
      up: true,
      noArp: true,
      promiscuous: true,
      allMulticast: true,
      multicast: true,
      txQueueLength: 7,
      sysctls: {},
    },
  ]);
});

test("dual stack: every address, link-local too, with scope, peer, broadcast and label", (t) => {
  const { interfaces } = plan({
    addresses: [
      address("10.1.2.3", { broadcast: "10.1.2.255" }),
      address("10.1.3.3", { prefixLength: 32, peer: "10.1.3.9", scope: 253, label: "eth0:1" }),
      address("2001:db8::2"),
      address("fe80::ff:fe00:2", { scope: 253 }),
    ],
    routes: ["10.1.2.0/24", "10.1.3.9/32", "2001:db8::/64", "fe80::/64"].map((one) =>
      route(one, { protocol: 2 }),
    ),
  });
  const none = { peer: "", broadcast: "", flags: 0, label: "", routeMetric: 0 };
  t.deepEqual(interfaces[0]?.addresses, [
    { ...none, address: "10.1.2.3", prefixLength: 24, broadcast: "10.1.2.255", scope: 0, label: "eth0" },
    { ...none, address: "10.1.3.3", prefixLength: 32, peer: "10.1.3.9", scope: 253, label: "eth0:1" },
    { ...none, address: "2001:db8::2", prefixLength: 64, scope: 0 },
    { ...none, address: "fe80::ff:fe00:2", prefixLength: 64, scope: 253 },
  ]);
});

test("address flags: meaning is kept, progress is not; a duplicate is left out", (t) => {
  const { interfaces } = plan({
    addresses: [
      address("2001:db8::2", { flags: 0x80 | 0x40 | 0x02 | 0x200 }),
      address("2001:db8::3", { flags: 0x80 | 0x08 }),
    ],
  });
  t.deepEqual(
    interfaces[0]?.addresses.map(({ address: text, flags }) => [text, flags]),
    [["2001:db8::2", 0x200]],
  );
});

test("a prefix route that CNI took away is not made in the guest either", (t) => {
  const { interfaces } = plan({
    addresses: [
      address("10.1.2.3"),
      address("10.1.2.4", { prefixLength: 32 }),
      address("fd00:88::5", { prefixLength: 63 }),
    ],
    routes: [route("10.1.2.0/24", { gateway: "10.1.2.1" }), route("fd00:88::/63", { protocol: 2, index: 3 })],
  });
  t.deepEqual(
    interfaces[0]?.addresses.map(({ flags }) => flags),
    [0x200, 0, 0x200],
  );
});

test("a /32 with an on-link gateway and a static neighbour, default first in the kernel's list", (t) => {
  const { routes, neighbors } = plan({
    addresses: [address("10.244.1.7", { prefixLength: 32 })],
    routes: [route("0.0.0.0/0", { gateway: "169.254.1.1" }), route("169.254.1.1/32", { scope: 253 })],
    neighbors: [neighbor("169.254.1.1", 0x80, { mac: "ee:ee:ee:ee:ee:ee" })],
  });
  t.deepEqual(
    routes.map(({ destination, gateway }) => [destination, gateway]),
    [
      ["169.254.1.1/32", ""],
      ["0.0.0.0/0", "169.254.1.1"],
    ],
  );
  t.deepEqual(neighbors, [
    { device: "eth0", address: "169.254.1.1", mac: "ee:ee:ee:ee:ee:ee", state: 0x80, flags: 0 },
  ]);
});

test("neighbours: permanent always, learned ones only of the default gateway", (t) => {
  const { neighbors } = plan({
    routes: [
      route("0.0.0.0/0", { gateway: "10.1.2.1" }),
      route("::/0", {
        index: 0,
        nextHops: [{ gateway: "fe80::1", index: 2, weight: 1, onLink: false, dead: false }],
      }),
      route("10.5.0.0/16", { gateway: "10.1.2.2" }),
    ],
    neighbors: [
      neighbor("10.1.2.1", 0x02),
      neighbor("fe80::1", 0x08, { flags: 0x80 }),
      neighbor("10.1.2.2", 0x02),
      neighbor("10.1.2.50", 0x80),
      neighbor("10.1.2.51", 0x80, { mac: "" }),
      neighbor("ff02::16", 0x40),
    ],
  });
  t.deepEqual(
    neighbors.map(({ address: text, state, flags }) => [text, state, flags]),
    [
      ["10.1.2.1", 0x02, 0],
      ["fe80::1", 0x04, 0x80],
      ["10.1.2.50", 0x80, 0],
      ["10.1.2.51", 0x80, 0],
    ],
  );
});

test("a gateway that does not answer is not passed on", (t) => {
  const { neighbors } = plan({
    routes: [route("0.0.0.0/0", { gateway: "10.1.2.1" })],
    neighbors: [neighbor("10.1.2.1", 0x20, { mac: "" }), neighbor("10.1.2.1", 0x01, { mac: "" })],
  });
  t.deepEqual(neighbors, []);
});

test("no NIC planned, nothing for the guest", (t) => {
  const network = found({
    addresses: [address("10.1.2.3")],
    routes: [route("0.0.0.0/0", { gateway: "10.1.2.1" })],
  });
  t.deepEqual(planGuest(network, []), { interfaces: [], routes: [], rules: [], neighbors: [] });
});
