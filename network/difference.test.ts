import test from "ava";
import { networkDifference } from "./difference.ts";
import type { GuestInterface, GuestNetwork, GuestRoute } from "./guest-network.ts";

const address = {
  address: "10.88.0.2",
  prefixLength: 16,
  peer: "",
  broadcast: "10.88.255.255",
  scope: 0,
  flags: 0,
  label: "eth0",
  routeMetric: 0,
};
const nic: GuestInterface = {
  name: "eth0",
  mac: "02:00:00:00:00:01",
  mtu: 1500,
  addresses: [address],
  up: true,
  noArp: false,
  promiscuous: false,
  allMulticast: false,
  multicast: true,
  txQueueLength: 1000,
  sysctls: {},
};
const route: GuestRoute = {
  destination: "0.0.0.0/0",
  family: 4,
  gateway: "10.88.0.1",
  device: "eth0",
  source: "",
  scope: 0,
  metric: 0,
  table: 254,
  protocol: 3,
  type: 1,
  onLink: false,
  mtu: 0,
  metrics: {},
  nextHops: [],
  preference: 0,
  tos: 0,
};
const neighbor = { device: "eth0", address: "10.88.0.1", mac: "02:00:00:00:00:02", state: 0x80, flags: 0 };
const network: GuestNetwork = { interfaces: [nic], routes: [route], rules: [], neighbors: [neighbor] };

test("equal networks differ in nothing, whatever the guest's kernel added", (t) => {
  const connected = { ...route, destination: "10.88.0.0/16", gateway: "", protocol: 2 };
  const learned = { ...neighbor, address: "10.88.0.7", state: 2 };
  const actual = { ...network, routes: [connected, route], neighbors: [learned, neighbor] };
  t.deepEqual(networkDifference(network, actual), []);
});

test("a field, an address, a route and a neighbour that differ are named", (t) => {
  const actual: GuestNetwork = {
    interfaces: [{ ...nic, mtu: 1400, addresses: [{ ...address, address: "10.88.0.3" }] }],
    routes: [{ ...route, gateway: "10.88.0.9" }],
    rules: [],
    neighbors: [{ ...neighbor, mac: "02:00:00:00:00:03" }],
  };
  t.deepEqual(networkDifference(network, actual), [
    "interface 02:00:00:00:00:01: mtu is 1400, want 1500",
    "interface 02:00:00:00:00:01: address 10.88.0.2/16 is missing",
    "interface 02:00:00:00:00:01: address 10.88.0.3/16 is not wanted",
    "route 0.0.0.0/0 via 10.88.0.1 dev eth0 metric 0 table 254 type 1 is missing",
    "route 0.0.0.0/0 via 10.88.0.9 dev eth0 metric 0 table 254 type 1 is not wanted",
    'neighbour 10.88.0.1 dev eth0: mac is "02:00:00:00:00:03", want "02:00:00:00:00:02"',
  ]);
});

test("a neighbour that was learned counts as there in any state, but not with another MAC", (t) => {
  const reachable = { ...neighbor, state: 2 };
  const wanted = { ...network, neighbors: [reachable] };
  t.deepEqual(networkDifference(wanted, { ...network, neighbors: [{ ...neighbor, state: 4 }] }), []);
  t.deepEqual(networkDifference(wanted, { ...network, neighbors: [] }), [
    "neighbour 10.88.0.1 dev eth0 is missing",
  ]);
});

test("two routes that differ in nothing but their source are two", (t) => {
  const other = { ...route, source: "10.88.0.2" };
  const both = { ...network, routes: [route, other] };
  t.deepEqual(networkDifference(both, { ...both, routes: [other, route] }), []);
  t.deepEqual(networkDifference(both, { ...both, routes: [other] }), [
    "route 0.0.0.0/0 via 10.88.0.1 dev eth0 metric 0 table 254 type 1 is missing",
  ]);
  t.deepEqual(networkDifference({ ...both, routes: [route] }, both), [
    "route 0.0.0.0/0 via 10.88.0.1 dev eth0 metric 0 table 254 type 1 is not wanted",
  ]);
});
