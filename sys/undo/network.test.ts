// Needs root: makes and removes a network namespace.
import { execFileSync } from "node:child_process";
import test from "ava";
import { deadlineIn } from "../deadline.ts";
import { netnsInode } from "../netns.ts";
import type { Undo } from "./entry.ts";
import { undo } from "./undo.ts";

const name = `tapir-undo-${process.pid}`;
const netns = `/run/netns/${name}`;
const soon = () => deadlineIn(60_000, "test undo");
const ip = (line: string): string =>
  execFileSync("ip", ["-n", name, ...line.split(" ")], { encoding: "utf8" });
const tc = (line: string): string =>
  execFileSync("tc", ["-n", name, ...line.split(" ")], { encoding: "utf8" });
const indexOf = (link: string): number => JSON.parse(ip(`-j link show ${link}`))[0].ifindex;
const everything = (): string => ip("link") + tc("qdisc") + tc("filter show dev a0 ingress");

let place: { netns: string; netnsInode: number };

test.beforeEach(() => {
  execFileSync("ip", ["netns", "add", name]);
  place = { netns, netnsInode: netnsInode(netns) };
  ip("link add a0 type veth peer name b0");
});
test.afterEach.always(() => execFileSync("ip", ["netns", "del", name]));

test.serial("a link goes once; its name in other hands stays", async (t) => {
  const entry: Undo = { kind: "link", ...place, name: "a0", index: indexOf("a0") };
  await undo({ ...entry, index: entry.index === undefined ? 1 : entry.index + 100 }, soon());
  await undo({ ...entry, index: 0 }, soon());
  await undo({ ...entry, name: "b0" }, soon());
  t.truthy(ip("link show a0"));
  await undo(entry, soon());
  await undo(entry, soon());
  t.is(JSON.parse(ip("-j link")).length, 1);
});

test.serial("a link whose index was not written yet goes by name", async (t) => {
  await undo({ kind: "link", ...place, name: "a0" }, soon());
  t.is(JSON.parse(ip("-j link")).length, 1);
});

test.serial("an ingress qdisc goes unless somebody uses it", async (t) => {
  const entry: Undo = { kind: "qdisc", ...place, link: "a0", index: indexOf("a0") };
  const before = everything();
  await undo(entry, soon());
  tc("qdisc add dev a0 ingress");
  await undo({ ...entry, index: 0 }, soon());
  await undo({ ...entry, link: "b0" }, soon());
  t.regex(tc("qdisc"), /ingress/);
  tc("filter add dev a0 ingress u32 match u32 0 0 action mirred egress redirect dev b0");
  await undo(entry, soon());
  t.regex(tc("qdisc"), /ingress/);
  tc("filter del dev a0 ingress");
  await undo(entry, soon());
  await undo(entry, soon());
  t.is(everything(), before);
});

test.serial("a clsact qdisc is never ours", async (t) => {
  tc("qdisc add dev a0 clsact");
  await undo({ kind: "qdisc", ...place, link: "a0", index: indexOf("a0") }, soon());
  t.regex(tc("qdisc"), /clsact/);
});

test.serial("a filter goes when priority, protocol and target are ours", async (t) => {
  const at = {
    kind: "filter",
    ...place,
    link: "a0",
    index: indexOf("a0"),
    priority: 100,
    protocol: 3,
  } as const;
  const entry: Undo = { ...at, target: indexOf("b0") };
  await undo(entry, soon());
  tc("qdisc add dev a0 ingress");
  const before = everything();
  await undo(entry, soon());
  tc("filter add dev a0 ingress prio 100 u32 match u32 0 0 action mirred egress redirect dev b0");
  const during = everything();
  await undo({ ...entry, target: 4711 }, soon());
  await undo({ ...entry, priority: 101 }, soon());
  await undo({ ...entry, protocol: 0x800 }, soon());
  await undo({ ...entry, index: 4711 }, soon());
  t.is(everything(), during);
  await undo(entry, soon());
  await undo(entry, soon());
  t.is(everything(), before);
});

test.serial("a neighbour at our priority stays", async (t) => {
  tc("qdisc add dev a0 ingress");
  ip("link add c0 type veth peer name d0");
  tc(
    "filter add dev a0 ingress prio 100 u32 match ip protocol 132 0xff action mirred egress redirect dev c0",
  );
  const before = everything();
  tc("filter add dev a0 ingress prio 100 u32 match u32 0 0 action mirred egress redirect dev b0");
  const at = {
    kind: "filter",
    ...place,
    link: "a0",
    index: indexOf("a0"),
    priority: 100,
    protocol: 3,
  } as const;
  await undo({ ...at, target: indexOf("b0") }, soon());
  t.is(everything(), before);
});

test.serial("a redirect whose target is gone already still goes", async (t) => {
  ip("link add c0 type veth peer name d0");
  const target = indexOf("c0");
  tc("qdisc add dev a0 ingress");
  tc("filter add dev a0 ingress prio 100 u32 match u32 0 0 action mirred egress redirect dev c0");
  ip("link del c0");
  const at = {
    kind: "filter",
    ...place,
    link: "a0",
    index: indexOf("a0"),
    priority: 100,
    protocol: 3,
  } as const;
  await undo({ ...at, target }, soon());
  t.is(tc("filter show dev a0 ingress"), "");
});

test.serial("another namespace behind the same path, or none, is nothing to undo", async (t) => {
  const index = indexOf("a0");
  const elsewhere = { ...place, netnsInode: place.netnsInode + 1 };
  await undo({ kind: "link", ...elsewhere, name: "a0", index }, soon());
  t.truthy(ip("link show a0"));
  for (const gone of ["/run/netns/none-such", "/etc/hostname", "/proc/4194304/ns/net"]) {
    const lost = { ...place, netns: gone };
    await undo({ kind: "link", ...lost, name: "a0", index }, soon());
    await undo({ kind: "qdisc", ...lost, link: "a0", index }, soon());
    await undo({ kind: "filter", ...lost, link: "a0", index, priority: 1, protocol: 3, target: 1 }, soon());
  }
  t.truthy(ip("link show a0"));
});
