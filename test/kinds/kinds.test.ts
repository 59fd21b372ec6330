// Requires root, qemu-system-x86_64, and what the guest image is built from.
// Kinds of link that the machine's kernel may not have: tried inside a guest, whose kernel is Debian's, by the same code.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { buildGuest, defaultOptions } from "../../guest/build.ts";
import { chooseAccelerator } from "../../hypervisor/accelerator.ts";
import { createQemu } from "../../hypervisor/qemu/qemu.ts";
import { deadlineIn } from "../../sys/deadline.ts";
import { openLedger } from "../../sys/ledger.ts";
import type { Link } from "../../sys/netlink/records.ts";
import { capturedLinks, linkOf } from "../fakes/captured-links.ts";
import { useInventory } from "../harness/fixture.ts";
import { PROJECT } from "../harness/project.ts";
import { makeNodeQemu } from "./node-disk.ts";
import {
  type KindResult,
  MISSING_REPORT,
  type MissingResult,
  PHYSICAL_REPORT,
  type PhysicalResult,
  REPORT,
} from "./report.ts";

const MARK = "tapir-kinds-";
const directory = mkdtempSync(join(tmpdir(), MARK));
let physical: PhysicalResult;
let missing: MissingResult;
let results: ReadonlyMap<string, KindResult> = new Map();

useInventory(test, MARK, async () => rmSync(directory, { recursive: true }));

test.serial("a guest tries them all and turns itself off", async (t) => {
  const image = join(PROJECT, "build/guest-kinds");
  await buildGuest({
    ...defaultOptions(process.env),
    output: image,
    agent: join(import.meta.dirname, "main.ts"),
    modules: ["vfio-pci", "vfio_iommu_type1"],
  });
  const qemu = await makeNodeQemu(directory, join(image, "vmlinuz"));
  const ledger = openLedger(join(directory, "state"));
  t.teardown(() => ledger.unwind());
  const vm = await createQemu().start(
    {
      name: "kinds",
      directory: ledger.directory,
      qemu,
      kernel: join(image, "vmlinuz"),
      initramfs: join(image, "initramfs.cpio"),
      image: join(image, "root.erofs"),
      imageDriver: "virtio-pmem",
      accelerator: chooseAccelerator("auto"),
      vcpus: 1,
      memoryMiB: 512,
      rootPorts: 1,
      kernelParameters: [],
      nics: [],
    },
    ledger,
    deadlineIn(30_000, "start QEMU"),
  );
  await deadlineIn(240_000, "try the kinds of link").race(vm.exited);
  const lines = readFileSync(join(ledger.directory, "console.log"), "utf8").split(/\r?\n/);
  const said = lines.filter((line) => line.startsWith(REPORT)).map((line) => line.slice(REPORT.length));
  results = new Map(
    said.map((line) => JSON.parse(line) as KindResult).map((result) => [result.name, result]),
  );
  for (const result of results.values()) t.log(JSON.stringify(result));
  t.is(results.size, 11, vm.consoleTail());
  const device = lines.find((line) => line.startsWith(PHYSICAL_REPORT))?.slice(PHYSICAL_REPORT.length);
  physical = JSON.parse(device ?? "{}");
  t.log(device);
  const without = lines.find((line) => line.startsWith(MISSING_REPORT))?.slice(MISSING_REPORT.length);
  missing = JSON.parse(without ?? "{}");
  t.log(without);
});

const families = (name: string): string[] => [`${name} IPv4`, `${name} IPv6`];
const both = { in: families("eth0"), out: families("eth0"), undone: true };
const connected: Readonly<Record<string, KindResult>> = {
  "ipvlan l2": { name: "ipvlan l2", nics: ["eth0 ipvlan"], ...both },
  "ipvlan l3": { name: "ipvlan l3", nics: ["eth0 ipvlan"], ...both },
  vlan: { name: "vlan", nics: ["eth0 vlan"], ...both },
  macvlan: { name: "macvlan", nics: ["eth0 macvlan"], ...both },
  "vlan by macvtap": { name: "vlan by macvtap", nics: ["eth0 vlan"], ...both },
  // It leads nowhere.
  dummy: { name: "dummy", nics: ["eth0 dummy"], in: [], out: [], undone: true },
  "dummy by macvtap": { name: "dummy by macvtap", nics: ["eth0 dummy"], in: [], out: [], undone: true },
};
for (const [name, wanted] of Object.entries(connected)) {
  test.serial(`${name}: connected, frames pass, undone`, (t) => {
    const { raw, ...result } = results.get(name) ?? { name: "not tried" };
    t.deepEqual(result, wanted);
    t.is(raw?.length, 1);
  });
}

test.serial("the kernel says these kinds as it did when its words were captured", (t) => {
  const said = ({ kind, ipvlanMode, type, peerElsewhere }: Link) => ({
    kind,
    ipvlanMode,
    type,
    peerElsewhere,
  });
  for (const [name, link] of capturedLinks()) {
    t.deepEqual(said(linkOf(results.get(name)?.raw?.[0] ?? "")), said(link), name);
  }
});

test.serial("several kinds in one pod, names kept, one without address", (t) => {
  const result = results.get("mixed");
  t.deepEqual(result?.nics, ["eth1 macvlan", "eth0 dummy", "abcdefghijklmno vlan"]);
  const leading = [...families("eth1"), ...families("abcdefghijklmno")];
  t.deepEqual(result?.out, leading);
  t.deepEqual(result?.in, leading);
  t.true(result?.undone);
});

const refused: Readonly<Record<string, RegExp>> = {
  "ipvlan l3s": /cannot attach eth0 of netns \d+: .*"ipvlan".*l3s.*; use.*mode l2 or l3/,
  "ipvlan by macvtap":
    /cannot attach eth0 of netns \d+: link kind "ipvlan" is not supported by .*"macvtap"; use "tcfilter"/,
  "two ipvlans on one device":
    /cannot attach net1 of netns \d+: it has the MAC of eth0, .*; use macvlan instead/,
};
for (const [name, text] of Object.entries(refused)) {
  test.serial(`${name}: refused with the way out, and nothing is left`, (t) => {
    t.regex(results.get(name)?.refused ?? "", text);
    t.true(results.get(name)?.undone);
  });
}

test.serial("a kernel that may load no modules: what a model misses is named with the way out", (t) => {
  const names = (lines: readonly string[] = []): string[] => lines.map((line) => line.split(":")[0] ?? "");
  t.deepEqual(names(missing.tcfilter), ["ingress qdisc", "u32 filter with mirred", "token bucket"]);
  t.deepEqual(names(missing.macvtap), [
    "macvtap",
    "token bucket",
    "ifb",
    "ingress qdisc",
    "u32 filter with mirred",
  ]);
  for (const line of [...missing.tcfilter, ...missing.macvtap]) {
    t.regex(line, /neither built in nor as a module that it may load; load the kernel module: modprobe \w+/);
  }
  t.regex(missing.refused, /cannot add ingress qdisc dev (eth0|tap0_tapir)/);
  t.true(missing.undone, "nothing of the pod is left");
});

test.serial("a device of the node is QEMU's, and comes back as it was, at the end and after a crash", (t) => {
  const back = { handedOver: true, unwound: true, replayed: true, driver: "virtio-pci virtio-pci" };
  const { steps: _, ...result } = physical;
  t.deepEqual(result, { nics: ["abcdefghijklmno physical"], ...back });
});
