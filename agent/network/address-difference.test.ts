import test from "ava";
import type { Address } from "../../sys/netlink/records.ts";
import { addressPlan } from "./address-difference.ts";

const address = (text: string, more: Partial<Address> = {}): Address => ({
  index: 2,
  family: text.includes(":") ? 6 : 4,
  address: text,
  prefixLength: text.includes(":") ? 64 : 24,
  peer: undefined,
  broadcast: undefined,
  scope: 0,
  flags: 0x80,
  label: undefined,
  routeMetric: 0,
  ...more,
});

test("what the kernel adds to an address is no difference", (t) => {
  const four = address("10.0.0.5", { label: "eth0", flags: 0x81 });
  const six = address("fd00::5", { flags: 0x82, scope: 0 });
  const wanted = [address("10.0.0.5", { flags: 0 }), address("fd00::5", { flags: 0x40 })];
  t.deepEqual(addressPlan([four, six], wanted), { remove: [], add: [] });
});

test("IPv6 is added without duplicate address detection, with the flags that were asked for", (t) => {
  const { add } = addressPlan([], [address("fd00::5", { flags: 0x2c0 }), address("10.0.0.5")]);
  t.deepEqual(
    add.map(({ flags }) => flags),
    [0, 0x202],
  );
});

test("one IPv4 address with two prefixes is two, an IPv6 address changes its prefix", (t) => {
  for (const text of ["10.0.0.5", "fd00::5"]) {
    const { remove, add } = addressPlan([address(text)], [address(text, { prefixLength: 30 })]);
    t.deepEqual([remove.length, add.map(({ prefixLength }) => prefixLength)], [1, [30]]);
  }
});

test("peer, broadcast, scope, label, metric and kept flags count", (t) => {
  const current = address("10.0.0.5", { label: "eth0" });
  const changes: Partial<Address>[] = [
    { broadcast: "10.0.0.255" },
    { scope: 253 },
    { label: "eth0:1" },
    { flags: 0x200 },
    { flags: 0x20 },
    { routeMetric: 7 },
    { peer: "10.0.0.6" },
  ];
  for (const change of changes) {
    const { remove, add } = addressPlan([current], [address("10.0.0.5", change)]);
    t.deepEqual([remove.length, add.length], [1, 1]);
  }
});

const texts = (addresses: readonly Address[]): string[] => addresses.map((one) => one.address);

test("IPv6 addresses come oldest first, which is last in the kernel's list", (t) => {
  const listed = [address("fd00::3"), address("fd00::2"), address("fd00::1")];
  t.deepEqual(texts(addressPlan([], listed).add), ["fd00::1", "fd00::2", "fd00::3"]);
  const { remove, add } = addressPlan(listed.slice(1), listed);
  t.deepEqual([texts(remove), texts(add)], [[], ["fd00::3"]]);
});

test("what came too early comes again, what lies before it stays", (t) => {
  const [a, b, c] = [address("10.0.0.1"), address("10.0.0.2"), address("10.0.0.3")];
  const { remove, add } = addressPlan([a, c], [a, b, c]);
  t.deepEqual([texts(remove), texts(add)], [["10.0.0.3"], ["10.0.0.2", "10.0.0.3"]]);
  const swapped = addressPlan([a, b], [b, a]);
  t.deepEqual(
    [texts(swapped.remove), texts(swapped.add)],
    [
      ["10.0.0.1", "10.0.0.2"],
      ["10.0.0.2", "10.0.0.1"],
    ],
  );
  const elsewhere = addressPlan([a, { ...c, index: 3 }], [a, b, { ...c, index: 3 }]);
  t.deepEqual(texts(elsewhere.remove), [], "each NIC has a row of its own");
});
