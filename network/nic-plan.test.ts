import test from "ava";
import type { Link } from "../sys/netlink/records.ts";
import type { DiscoveredNetwork } from "./discover.ts";
import { modelNamed } from "./models.ts";
import { planNics } from "./nic-plan.ts";
import { freePriority } from "./redirect.ts";

const UP = 0x1_1043;

const link = (index: number, name: string, more: Partial<Link> = {}): Link => ({
  index,
  name,
  kind: "veth",
  type: 1,
  mac: `02:00:00:00:00:0${index}`,
  mtu: 1450,
  flags: UP,
  txQueueLength: 1000,
  peerIndex: 9,
  masterIndex: 0,
  operationalState: 6,
  alias: "",
  ...more,
});

const withLinks = (...links: Link[]): DiscoveredNetwork => ({
  netns: "/run/netns/cni-1234",
  netnsInode: 1,
  loopbackIndex: 1,
  links: links.map((one) => ({ link: one, addresses: [], neighbors: [], sysctls: {} })),
  routes: [],
  rules: [],
});

const model = modelNamed("tcfilter");

test("one NIC per link in use, ids and taps by position", (t) => {
  const nics = planNics(withLinks(link(3, "eth0"), link(5, "net1", { mtu: 9000 })), { model, vcpus: 2 });
  t.deepEqual(
    nics.map(({ id, name, mac, mtu, queues, tapName }) => ({ id, name, mac, mtu, queues, tapName })),
    [
      { id: "net0", name: "eth0", mac: "02:00:00:00:00:03", mtu: 1450, queues: 2, tapName: "tap0_tapir" },
      { id: "net1", name: "net1", mac: "02:00:00:00:00:05", mtu: 9000, queues: 2, tapName: "tap1_tapir" },
    ],
  );
});

test("queues follow the vCPUs, within bounds", (t) => {
  for (const [vcpus, queues] of [
    [0, 1],
    [1, 1],
    [4, 4],
    [200, 16],
  ] as const) {
    t.is(planNics(withLinks(link(2, "eth0")), { model, vcpus })[0]?.queues, queues);
  }
});

test("links that nobody uses are passed over, whatever their kind", (t) => {
  const unused = ["ipip", "sit", "gre", "gretap", "erspan", "ip6tnl", "dummy", "veth"].map((kind, index) =>
    link(index + 3, `${kind}0`, { kind, flags: 0x80 }),
  );
  const nics = planNics(withLinks(link(2, "eth0"), ...unused), { model, vcpus: 1 });
  t.deepEqual(
    nics.map(({ name }) => name),
    ["eth0"],
  );
});

test("a link that is down but has an address is in use", (t) => {
  const network = withLinks(link(2, "eth0", { flags: 0x1002 }));
  const [only] = network.links;
  const address = {
    index: 2,
    family: 4,
    address: "10.0.0.2",
    prefixLength: 24,
    peer: undefined,
    broadcast: undefined,
    scope: 0,
    flags: 0x80,
    label: "eth0",
    routeMetric: 0,
  } as const;
  const addressed = { ...network, links: only === undefined ? [] : [{ ...only, addresses: [address] }] };
  t.is(planNics(network, { model, vcpus: 1 }).length, 0);
  t.is(planNics(addressed, { model, vcpus: 1 }).length, 1);
});

test("model none attaches nothing and refuses nothing", (t) => {
  const none = modelNamed("none");
  t.deepEqual(planNics(withLinks(link(2, "ib0", { kind: "ipoib" })), { model: none, vcpus: 1 }), []);
});

test("an unknown model names the known ones", (t) => {
  t.throws(() => modelNamed("bridge"), {
    message: /no such model; use one of "tcfilter", "macvtap", "none"$/,
  });
});

test("the redirect comes after every filter that is there", (t) => {
  const eth0 = { index: 2, name: "eth0" };
  const filter = { index: 2, kind: "bpf", protocol: 3, handle: 1, redirectsTo: undefined };
  t.is(freePriority(eth0, []), 61_440);
  t.is(freePriority(eth0, [{ ...filter, priority: 49_152 }]), 61_440);
  t.is(freePriority(eth0, [{ ...filter, priority: 61_440 }]), 61_441);
  t.is(
    freePriority(eth0, [
      { ...filter, priority: 1 },
      { ...filter, priority: 65_000 },
    ]),
    65_001,
  );
  t.throws(() => freePriority(eth0, [{ ...filter, priority: 0xffff }]), { message: /redirect on eth0/ });
});
