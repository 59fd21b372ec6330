// Needs root and /dev/net/tun: the last test makes links in a network namespace of its own.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { deadlineIn } from "../sys/deadline.ts";
import { reasonOf } from "../sys/error.ts";
import { openLedger } from "../sys/ledger.ts";
import type { Address, Link } from "../sys/netlink/records.ts";
import { capturedLinks } from "../test/fakes/captured-links.ts";
import { connect } from "./connect.ts";
import { type DiscoveredNetwork, discover, type HostDevice } from "./discover.ts";
import { endpointsOf } from "./endpoint.ts";
import { modelNamed } from "./models.ts";
import { planNics } from "./nic-plan.ts";
import { TAP_ALIAS } from "./pod-tap-mark.ts";

const model = modelNamed("tcfilter");
const UP = 0x1043;

const link = (index: number, name: string, more: Partial<Link> = {}): Link => ({
  index,
  name,
  kind: "veth",
  type: 1,
  mac: `02:00:00:00:00:0${index}`,
  mtu: 1500,
  flags: UP,
  txQueueLength: 1000,
  peerIndex: 0,
  masterIndex: 0,
  operationalState: 6,
  alias: "",
  ...more,
});
const address = (index: number): Address => ({
  index,
  family: 4,
  address: "10.0.0.2",
  prefixLength: 24,
  peer: undefined,
  broadcast: undefined,
  scope: 0,
  flags: 0x80,
  label: undefined,
  routeMetric: 0,
});
/** The links whose index is in `addressed` have an address. */
const networkOf = (links: readonly Link[], addressed: readonly number[] = []): DiscoveredNetwork => ({
  netns: "/run/netns/cni-1",
  netnsInode: 1,
  loopbackIndex: 1,
  links: links.map((one) => ({
    link: one,
    addresses: addressed.includes(one.index) ? [address(one.index)] : [],
    neighbors: [],
    sysctls: {},
  })),
  routes: [],
  rules: [],
});
const kinds = (links: readonly Link[], addressed?: readonly number[]): string[] => {
  const { endpoints, refusals } = endpointsOf(networkOf(links, addressed), model);
  for (const { error } of refusals) throw error;
  return endpoints.map(({ kind, link: { name } }) => `${name} ${kind}`);
};

test("each kind by what the kernel calls it, whatever its name", (t) => {
  const names = ["veth", "macvlan", "ipvlan", "bridge", "vlan", "vxlan", "dummy"];
  for (const kind of names) t.deepEqual(kinds([link(2, "eth0", { kind })]), [`eth0 ${kind}`]);
  t.deepEqual(kinds([link(2, "veth0", { kind: "tun" })]), ["veth0 tap"]);
});

test("an ipvlan in mode l3s is refused: its packets pass the link by", (t) => {
  const ipvlan = (ipvlanMode: "l2" | "l3" | "l3s") => link(2, "eth0", { kind: "ipvlan", ipvlanMode });
  t.deepEqual(kinds([ipvlan("l2")]), ["eth0 ipvlan"]);
  t.deepEqual(kinds([ipvlan("l3")]), ["eth0 ipvlan"]);
  t.regex(
    reasonOf(t.throws(() => kinds([ipvlan("l3s")]))),
    /cannot attach eth0 of netns cni-1: link kind "ipvlan" in mode l3s .*; use ipvlan in mode l2 or l3/,
  );
});

test("kinds that this machine's kernel may not make, as another kernel said them", (t) => {
  const captured = capturedLinks();
  t.deepEqual([...captured.keys()], ["dummy", "ipvlan l2", "ipvlan l3", "ipvlan l3s", "vlan"]);
  for (const [name, found] of captured) {
    const [kind = "", mode] = name.split(" ");
    t.like(found, { name: "eth0", kind, type: 1, mtu: 1500, ipvlanMode: mode });
    t.regex(found.mac, /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/);
    // All but dummies lie on a link of the node.
    t.is(found.peerElsewhere, kind === "dummy" ? undefined : true);
    if (mode === "l3s") t.throws(() => kinds([found]), { message: /in mode l3s/ });
    // A link that happens to have the index of what it lies on is none of it.
    else t.deepEqual(kinds([link(found.peerIndex || 2, "net1"), found]), ["net1 veth", `eth0 ${kind}`]);
  }
});

test("a refusal names link, kind and a way out", (t) => {
  const cases: readonly [Partial<Link>, RegExp][] = [
    [
      { kind: undefined },
      /^cannot attach x0 of netns cni-1: it is a physical device.*; give the pod a macvlan/,
    ],
    [{ kind: "tun", type: 65_534 }, /link kind "tun" carries no Ethernet frames; .*"none"/],
    [{ kind: "ipoib", type: 32 }, /link kind "ipoib" carries no Ethernet/],
    [{ kind: "wireguard", type: 65_534 }, /link kind "wireguard" carries no Ethernet/],
    [{ kind: undefined, type: 778 }, /link kind "hardware type 778" carries/],
    [{ kind: "bond" }, /link kind "bond" is not supported by internetworking_model "tcfilter"; use "none"/],
  ];
  for (const [more, text] of cases) {
    t.regex(reasonOf(t.throws(() => kinds([link(2, "x0", more)]))), text);
  }
});

test("a physical device is handed over where the node can, else refused with the reason", (t) => {
  const nic = link(2, "x0", { kind: undefined });
  const able = {
    ...{ address: "0000:01:00.0", driver: "ixgbevf", group: "7", vfio: true },
    mates: [{ address: "0000:01:00.1", driver: undefined, group: "7" }],
  };
  const network = (device: HostDevice | undefined): DiscoveredNetwork => {
    const empty = networkOf([nic]);
    return { ...empty, links: empty.links.map((one) => ({ ...one, device })) };
  };
  const endpoints = [{ kind: "physical", link: nic, device: able } as const];
  t.deepEqual(endpointsOf(network(able), model), { endpoints, refusals: [] });
  const [plan] = planNics(network(able), { model, vcpus: 1 });
  t.is(plan?.device, able);
  t.deepEqual(planNics(network(able), { model: modelNamed("none"), vcpus: 1 }), []);
  const busy = [{ address: "0000:01:00.1", driver: "ixgbe", group: "7" }];
  const cases: readonly [HostDevice | undefined, RegExp][] = [
    [undefined, /does not say where on the PCI bus it is; give the pod a macvlan/],
    [
      { ...able, group: undefined },
      /this node has no IOMMU .*; turn the IOMMU on \(intel_iommu=on\), or give/,
    ],
    [{ ...able, mates: busy }, /IOMMU group 7 .* others in use too: 0000:01:00\.1 \(driver ixgbe\); .*ACS/],
    [{ ...able, vfio: false }, /; load the kernel module: modprobe vfio-pci$/],
    [{ ...able, driver: undefined }, /driver goes; try again/],
  ];
  for (const [device, text] of cases) {
    const said = reasonOf(endpointsOf(network(device), model).refusals[0]?.error);
    t.regex(said, /^cannot attach x0 of netns cni-1: it is a physical device/);
    t.regex(said, text);
  }
});

test("ports of a bridge and what a vlan lies on carry the others, and are none themselves", (t) => {
  const bridge = link(4, "br0", { kind: "bridge" });
  t.deepEqual(kinds([link(2, "eth0", { masterIndex: 4 }), link(3, "eth1", { masterIndex: 4 }), bridge]), [
    "br0 bridge",
  ]);
  const vlan = link(5, "eth0.100", { kind: "vlan", peerIndex: 2 });
  t.deepEqual(kinds([link(2, "eth0"), vlan]), ["eth0.100 vlan"]);
  const both = t.throws(() => kinds([link(2, "eth0"), vlan], [2, 5]));
  t.regex(
    reasonOf(both),
    /attach eth0\.100 .*lies on eth0, which has addresses.*; take the addresses off eth0/,
  );
});

test("two NICs with one MAC are refused, Tapir's own tap is passed over", (t) => {
  const twin = link(3, "eth1", { kind: "ipvlan", mac: "02:00:00:00:00:02" });
  t.regex(reasonOf(t.throws(() => kinds([link(2, "eth0"), twin]))), /attach eth1 .*MAC of eth0/);
  t.deepEqual(kinds([link(2, "eth0"), link(3, "tap0_tapir", { kind: "tun", alias: TAP_ALIAS })]), [
    "eth0 veth",
  ]);
});

test("a refused link keeps nothing from the others; what has a NIC keeps it", (t) => {
  const split = (links: readonly Link[], addressed: readonly number[], connected: readonly number[]) => {
    const found = endpointsOf(networkOf(links, addressed), model, new Set(connected));
    return [found.endpoints, found.refusals].map((some) => some.map(({ link: { name } }) => name));
  };
  const tun = link(3, "tun0", { kind: "tun", type: 65_534 });
  t.deepEqual(split([link(2, "eth0"), tun, link(4, "net1")], [], []), [["eth0", "net1"], ["tun0"]]);
  const twin = { kind: "ipvlan", mac: "02:00:00:00:00:09" };
  const twins = [link(2, "moved", twin), link(3, "eth0", twin)];
  t.deepEqual(split(twins, [], []), [["moved"], ["eth0"]]);
  t.deepEqual(split(twins, [], [3]), [["eth0"], ["moved"]]);
  const vlan = [link(2, "eth0"), link(5, "eth0.100", { kind: "vlan", peerIndex: 2 })];
  t.deepEqual(split(vlan, [2, 5], [2]), [["eth0"], ["eth0.100"]]);
  t.deepEqual(split(vlan, [2, 5], [5]), [["eth0.100"], ["eth0"]]);
});

test("several NICs of mixed kinds, one without address, are connected and found again as they were", async (t) => {
  const name = `tapir-kinds-${process.pid}`;
  const directory = mkdtempSync(join(tmpdir(), "tapir-kinds-"));
  const deadline = deadlineIn(30_000, "test endpoint kinds");
  const ip = (line: string): unknown => execFileSync("ip", ["-n", name, ...line.split(" ")]);
  execFileSync("ip", ["netns", "add", name]);
  execFileSync("ip", ["netns", "add", `${name}-node`]);
  try {
    ip(`link add eth0 type veth peer name far netns ${name}-node`);
    const node = ["-n", `${name}-node`, "link"];
    execFileSync("ip", [...node, "set", "far", "up"]);
    execFileSync("ip", [
      ...node,
      "add",
      "link",
      "far",
      "name",
      "abcdefghijklmno",
      "netns",
      name,
      "type",
      "macvlan",
      "mode",
      "bridge",
    ]);
    ip("link add vx0 type vxlan id 7 dstport 4789 dev eth0");
    ip("link add br0 type bridge");
    ip("link add port0 type veth peer name port1");
    ip("link set port0 master br0");
    ip("tuntap add mode tap tap9");
    for (const one of ["eth0", "abcdefghijklmno", "br0", "port0", "tap9"]) ip(`link set ${one} up`);
    ip("addr add 10.7.0.2/24 dev abcdefghijklmno");
    ip("addr add 10.8.0.2/24 dev br0");
    const netns = `/run/netns/${name}`;
    const network = await discover(netns, deadline);
    const plans = planNics(network, { model, vcpus: 1 });
    t.deepEqual(plans.map((plan) => `${plan.name} ${plan.link.kind}`).sort(), [
      "abcdefghijklmno macvlan",
      "br0 bridge",
      "eth0 veth",
      "tap9 tun",
    ]);
    const ledger = openLedger(join(directory, "state"));
    const nics = await connect(network, plans, { model, ledger, vhostNet: false }, deadline);
    t.is(nics.length, 4);
    const again = planNics(await discover(netns, deadline), { model, vcpus: 1 });
    t.deepEqual(
      again.map((plan) => plan.name),
      plans.map((plan) => plan.name),
      "Tapir's taps are no NICs",
    );
    await ledger.unwind();
    t.notRegex(execFileSync("tc", ["-n", name, "qdisc"], { encoding: "utf8" }), /ingress/);
  } finally {
    execFileSync("ip", ["netns", "del", name]);
    execFileSync("ip", ["netns", "del", `${name}-node`]);
    rmSync(directory, { recursive: true });
  }
});
