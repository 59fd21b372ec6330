import test from "ava";
import { decodeAddress, encodeAddress } from "./address.ts";
import { attribute, attributeNest, attributeText, attributeU8, attributeU32 } from "./attribute.ts";
import { decodeLink } from "./link.ts";
import { decodeNeighbor, encodeNeighbor } from "./neighbor.ts";
import type { Address, Neighbor, Route } from "./records.ts";
import { decodeRoute, encodeRoute } from "./route-codec.ts";

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");

test("addresses as the kernel wrote them", (t) => {
  const withPeer = hex(
    "0220800002000000 080001000a010209 080002000a010203 080004000a0102ff 09000300 6574683000000000" +
      "0800080080000000 14000600ffffffffffffffff1d9b03001d9b0300",
  );
  t.deepEqual(decodeAddress(withPeer), {
    index: 2,
    family: 4,
    address: "10.1.2.3",
    prefixLength: 32,
    peer: "10.1.2.9",
    broadcast: "10.1.2.255",
    scope: 0,
    flags: 0x80,
    label: "eth0",
    routeMetric: 0,
  });
  const linkLocal = hex(
    "0a40c0fd02000000 14000100fe80000000000000001122fffe334455 14000600ffffffffffffffff1d9b03001d9b0300" +
      "08000800c0000000 05000b0003000000",
  );
  t.deepEqual(decodeAddress(linkLocal), {
    index: 2,
    family: 6,
    address: "fe80::11:22ff:fe33:4455",
    prefixLength: 64,
    peer: undefined,
    broadcast: undefined,
    scope: 253,
    flags: 0xc0,
    label: undefined,
    routeMetric: 0,
  });
});

test("addresses survive encoding, flags above eight bits included", (t) => {
  const base = {
    index: 3,
    family: 4,
    scope: 0,
    peer: undefined,
    broadcast: undefined,
    label: undefined,
    routeMetric: 0,
  } as const;
  const addresses: Address[] = [
    { ...base, address: "10.0.0.2", prefixLength: 24, broadcast: "10.0.0.255", label: "eth0", flags: 0x80 },
    { ...base, address: "10.0.0.2", prefixLength: 32, peer: "10.0.0.1", flags: 0x280 },
    { ...base, address: "2001:db8::2", family: 6, prefixLength: 64, flags: 0x202 },
    { ...base, address: "fe80::1", family: 6, prefixLength: 128, peer: "fe80::2", scope: 253, flags: 0 },
  ];
  for (const address of addresses) t.deepEqual(decodeAddress(encodeAddress(address)), address);
});

test("routes as the kernel wrote them", (t) => {
  const multipath = hex(
    "02100000fc030001 00000000 08000f00e8030000 080001000a070000" +
      "1c000900 1000040102000000 080005000a010209 0800000002000000",
  );
  t.deepEqual(decodeRoute(multipath), {
    family: 4,
    destination: "10.7.0.0/16",
    gateway: undefined,
    index: 0,
    source: undefined,
    scope: 0,
    metric: 0,
    table: 1000,
    protocol: 3,
    type: 1,
    onLink: false,
    metrics: {},
    nextHops: [
      { gateway: "10.1.2.9", index: 2, weight: 2, onLink: true, dead: false },
      { gateway: undefined, index: 2, weight: 1, onLink: false, dead: false },
    ],
    preference: undefined,
    tos: 0,
  });
  const viaWithMtu = hex(
    "0a000000fe030001 00000000 08000f00fe000000 0c000800 0800020078050000 0800060007000000" +
      "14000500fe800000000000000000000000000001 0800040002000000" +
      "24000c0000000000000000000000000000000000000000000000000000000000000000000500140000000000",
  );
  const route = decodeRoute(viaWithMtu);
  t.is(route?.destination, "::/0");
  t.is(route?.gateway, "fe80::1");
  t.deepEqual(route?.metrics, { 2: 1400 });
  t.is(route?.metric, 7);
  t.is(route?.preference, 0);
});

const route: Route = {
  family: 4,
  destination: "10.0.0.0/8",
  gateway: undefined,
  index: 2,
  source: undefined,
  scope: 253,
  metric: 0,
  table: 254,
  protocol: 3,
  type: 1,
  onLink: false,
  metrics: {},
  nextHops: [],
  tos: 0,
  preference: undefined,
};

test("a route through a lightweight tunnel says so, also one whose next hop is", (t) => {
  /** RTA_ENCAP_TYPE: LWTUNNEL_ENCAP_IP. */
  const encapsulation = Buffer.from("0600150002000000", "hex");
  const plain = encodeRoute(route);
  t.false("encapsulated" in (decodeRoute(plain) ?? {}));
  t.true(decodeRoute(Buffer.concat([plain, encapsulation]))?.encapsulated);
  // RTA_MULTIPATH: one next hop with nothing else.
  const hop = Buffer.concat([
    Buffer.from("1400090010000000", "hex"),
    Buffer.from("02000000", "hex"),
    encapsulation,
  ]);
  t.true(decodeRoute(Buffer.concat([encodeRoute({ ...route, index: 0 }), hop]))?.encapsulated);
});

test("routes survive encoding", (t) => {
  const routes: Route[] = [
    route,
    {
      ...route,
      destination: "0.0.0.0/0",
      gateway: "169.254.1.1",
      scope: 0,
      onLink: true,
      source: "10.1.2.3",
    },
    { ...route, destination: "192.0.2.1/32", gateway: "fe80::1", scope: 0 },
    { ...route, table: 70_000, metric: 0xffff_ffff, metrics: { 2: 1400, 8: 1360 } },
    { ...route, type: 6, index: 0, scope: 0 },
    { ...route, family: 6, destination: "::/0", gateway: "fe80::1", scope: 0, metric: 1024, preference: 1 },
    {
      ...route,
      index: 0,
      nextHops: [
        { gateway: "10.1.1.1", index: 2, weight: 1, onLink: false, dead: false },
        { gateway: "fe80::9", index: 3, weight: 256, onLink: true, dead: false },
      ],
    },
  ];
  for (const one of routes) t.deepEqual(decodeRoute(encodeRoute(one)), one);
});

test("cached routes, other families and the loopback link of IPv6 blackholes do not come through", (t) => {
  const cached = encodeRoute(route);
  cached.writeUInt32LE(0x200, 8);
  t.is(decodeRoute(cached), undefined);
  const mpls = encodeRoute(route);
  mpls.writeUInt8(28, 0);
  t.is(decodeRoute(mpls), undefined);
  t.is(decodeRoute(Buffer.alloc(4)), undefined);
  t.is(
    decodeRoute(encodeRoute({ ...route, family: 6, destination: "2001:db8::/32", type: 6, index: 1 }))?.index,
    0,
  );
});

test("neighbours as the kernel wrote them, and back", (t) => {
  const permanent = hex(
    "0200000002000000 80000001 080001000a010209 0a000200020000000001 0000 0800040000000000" +
      "140003001a0000001a0000001a00000000000000",
  );
  const expected: Neighbor = {
    index: 2,
    family: 4,
    address: "10.1.2.9",
    mac: "02:00:00:00:00:01",
    state: 0x80,
    flags: 0,
  };
  t.deepEqual(decodeNeighbor(permanent), expected);
  t.deepEqual(decodeNeighbor(encodeNeighbor(expected)), expected);
  const withoutMac: Neighbor = {
    ...expected,
    family: 6,
    address: "fe80::1",
    mac: "",
    state: 0x40,
    flags: 0x80,
  };
  t.deepEqual(decodeNeighbor(encodeNeighbor(withoutMac)), withoutMac);
});

test("links: kind from linkinfo, everything optional", (t) => {
  const header = Buffer.alloc(16);
  header.writeUInt16LE(1, 2);
  header.writeInt32LE(5, 4);
  header.writeUInt32LE(0x1_1043, 8);
  t.deepEqual(
    decodeLink(
      Buffer.concat([
        header,
        attributeText(3, "eth0"),
        attribute(1, hex("02abcdef0001")),
        attributeU32(4, 1400),
        attributeU32(5, 9),
        attributeU32(13, 1000),
        attributeU8(16, 6),
        attributeNest(18, attributeText(1, "veth")),
        attributeText(20, "pod nic"),
      ]),
    ),
    {
      index: 5,
      name: "eth0",
      kind: "veth",
      type: 1,
      mac: "02:ab:cd:ef:00:01",
      mtu: 1400,
      flags: 0x1_1043,
      txQueueLength: 1000,
      peerIndex: 9,
      masterIndex: 0,
      operationalState: 6,
      alias: "pod nic",
    },
  );
  t.is(decodeLink(header)?.kind, undefined);
  t.is(decodeLink(header)?.mac, "");
});

test("news about a bridge port is no link", (t) => {
  const header = Buffer.alloc(16);
  header.writeUInt8(7, 0);
  t.is(decodeLink(header), undefined);
});
