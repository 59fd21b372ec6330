import test from "ava";
import type { Address } from "../../sys/netlink/records.ts";
import { addressDifference } from "./address-difference.ts";

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
  t.deepEqual(addressDifference([four, six], wanted), { gone: [], added: [], changed: [] });
});

test("IPv6 is added without duplicate address detection, with the flags that were asked for", (t) => {
  const { added } = addressDifference([], [address("fd00::5", { flags: 0x2c0 }), address("10.0.0.5")]);
  t.deepEqual(
    added.map(({ flags }) => flags),
    [0x202, 0],
  );
});

test("one IPv4 address with two prefixes is two, an IPv6 address changes its prefix", (t) => {
  const four = addressDifference([address("10.0.0.5")], [address("10.0.0.5", { prefixLength: 32 })]);
  t.deepEqual([four.gone.length, four.added.length, four.changed.length], [1, 1, 0]);
  const six = addressDifference([address("fd00::5")], [address("fd00::5", { prefixLength: 128 })]);
  t.deepEqual([six.gone.length, six.added.length, six.changed.length], [0, 0, 1]);
});

test("peer, broadcast, scope, label and kept flags count", (t) => {
  const current = address("10.0.0.5", { label: "eth0" });
  const changes: Partial<Address>[] = [
    { broadcast: "10.0.0.255" },
    { scope: 253 },
    { label: "eth0:1" },
    { flags: 0x200 },
  ];
  for (const change of changes) {
    t.is(addressDifference([current], [address("10.0.0.5", change)]).changed.length, 1);
  }
  const { gone, added } = addressDifference([current], [address("10.0.0.5", { peer: "10.0.0.6" })]);
  t.deepEqual([gone.length, added.length], [1, 1]);
});
