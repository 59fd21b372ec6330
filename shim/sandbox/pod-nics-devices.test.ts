import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import type { DiscoveredNetwork, HostDevice } from "../../network/discover.ts";
import type { HandedOver } from "../../network/hand-over.ts";
import { modelNamed } from "../../network/models.ts";
import { deadlineIn } from "../../sys/deadline.ts";
import { reasonOf } from "../../sys/error.ts";
import { openLedger } from "../../sys/ledger.ts";
import type { Address, Link, Route } from "../../sys/netlink/records.ts";
import { openPodNics, type PodNics, type PodNicsContext } from "./pod-nics.ts";

const soon = () => deadlineIn(5000, "test");
const UP = 0x1043;
const MAC = "02:00:00:00:00:02";
const device: HostDevice = {
  ...{ address: "0000:01:00.0", driver: "ixgbevf", group: "7", vfio: true, mates: [] },
};
const link: Link = {
  ...{ index: 2, name: "net1", kind: undefined, type: 1, mac: MAC, mtu: 1500, flags: UP },
  ...{ txQueueLength: 1000, peerIndex: 0, masterIndex: 0, operationalState: 6, alias: "" },
};
const address: Address = {
  ...{ index: 2, family: 4, address: "10.0.0.2", prefixLength: 24, peer: undefined, broadcast: undefined },
  ...{ scope: 0, flags: 0x80, label: undefined, routeMetric: 0 },
};
const route: Route = {
  ...{ family: 4, destination: "0.0.0.0/0", gateway: "10.0.0.1", index: 2, source: undefined, scope: 0 },
  ...{ metric: 0, table: 254, protocol: 3, type: 1, onLink: false, metrics: {}, nextHops: [], tos: 0 },
  preference: undefined,
};
const empty: DiscoveredNetwork = {
  ...{ netns: "/run/netns/cni-1", netnsInode: 1, loopbackIndex: 1, links: [], routes: [], rules: [] },
};
const full: DiscoveredNetwork = {
  ...empty,
  links: [{ link, addresses: [address], neighbors: [], sysctls: {}, device }],
  routes: [route],
};

interface Faults {
  attach?: boolean;
  detach?: boolean;
}

/** A pod's NICs over a VM and a node that only say what they were told. */
function fakePod(t: ExecutionContext, faults: Faults = {}, more: Partial<PodNicsContext> = {}) {
  const directory = mkdtempSync(join(tmpdir(), "tapir-nics-"));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const said: string[] = [];
  const fail = (what: keyof Faults): void => {
    if (faults[what] === true) throw new Error(`QEMU refuses to ${what}`);
  };
  const hostDevices = {
    async attach({ id, address, group }: { id: string; address: string; group: string }) {
      said.push(`attach ${id} ${address} of group ${group}`);
      fail("attach");
    },
    async detach(id: string) {
      said.push(`detach ${id}`);
      fail("detach");
    },
    portOf: (id: string) => `port of ${id}`,
  };
  const handOver: PodNicsContext["handOver"] = async (network, plan, one) => {
    const found = network.links.find((other) => other.link.index === plan.link.index);
    if (found === undefined) throw new Error("no such link");
    said.push(`take ${one.address} from ${one.driver}`);
    const routes = network.routes.filter(({ index }) => index === plan.link.index);
    const release = async (): Promise<void> => void said.push(`give ${one.address} back`);
    return { plan, device: one, found, routes, release } satisfies HandedOver;
  };
  const silent = { debug() {}, info() {}, warn() {}, error() {} };
  const nics: PodNics = openPodNics({
    model: modelNamed("tcfilter"),
    ledger: openLedger(directory),
    vm: { pid: process.pid, hostDevices, nics: {} as PodNicsContext["vm"]["nics"], restored: undefined },
    ...{ nics: [], vcpus: 1, vhostNet: false, limits: { rx: 0, tx: 0 }, log: silent, handOver },
    ...more,
  });
  const bring = (found: DiscoveredNetwork): Promise<unknown[]> => {
    const whole = nics.whole(found);
    return nics.bringTo(whole, nics.plan(whole).plans, soon());
  };
  return { nics, said, faults, bring };
}

const TAKEN = ["take 0000:01:00.0 from ixgbevf", "attach net0 0000:01:00.0 of group 7"];

test("a device is taken from its driver, and the VM gets it; what its link said stays known", async (t) => {
  const { nics, said, bring } = fakePod(t);
  t.deepEqual(await bring(full), []);
  t.deepEqual(said, TAKEN);
  t.true(nics.has("net0"));
  t.deepEqual(nics.connected(), [], "it has no tap");
  // Its link is out of the namespace now, and the guest is to be as if it were there.
  const whole = nics.whole(empty);
  t.deepEqual(whole, full);
  const [plan] = nics.plan(whole).plans;
  t.is(plan?.id, "net0");
  t.deepEqual(plan && nics.found(plan, MAC), { port: "port of net0" });
  t.deepEqual(await bring(empty), []);
  t.deepEqual(said, TAKEN, "once");
});

test("a device that QEMU refuses goes back at once; a later try works", async (t) => {
  const pod = fakePod(t, { attach: true });
  const failures = await pod.bring(full);
  t.regex(reasonOf(failures[0]), /QEMU refuses to attach/);
  t.deepEqual(pod.said, [...TAKEN, "detach net0", "give 0000:01:00.0 back"]);
  t.false(pod.nics.has("net0"));
  t.deepEqual(pod.nics.whole(empty), empty);
  pod.faults.attach = false;
  t.deepEqual(await pod.bring(full), []);
  t.true(pod.nics.has("net0"));
});

test("a device that is taken out goes back when the VM has let go, and not before", async (t) => {
  const pod = fakePod(t);
  await pod.bring(full);
  const handed = pod.nics.device(["net1"], "");
  t.is(pod.nics.device([], MAC), handed);
  t.is(pod.nics.device(["eth0"], "02:00:00:00:00:09"), undefined);
  if (handed === undefined) return t.fail("nothing is handed over");
  pod.faults.detach = true;
  await t.throwsAsync(pod.nics.takeOut(handed, soon()), { message: /refuses to detach/ });
  t.true(pod.nics.has("net0"), "the VM still has it");
  t.notRegex(pod.said.join(), /give/);
  pod.faults.detach = false;
  await pod.nics.takeOut(handed, soon());
  t.deepEqual(pod.said.slice(-2), ["detach net0", "give 0000:01:00.0 back"]);
  t.false(pod.nics.has("net0"));
  t.is(pod.nics.device(["net1"], MAC), undefined);
});

test("when the VM is gone, devices go back without asking it, once", async (t) => {
  const { nics, said, bring } = fakePod(t);
  await bring(full);
  await nics.giveBack();
  await nics.giveBack();
  t.deepEqual(said, [...TAKEN, "give 0000:01:00.0 back"]);
});

test("a device cannot be limited: refused before it is taken", async (t) => {
  const { said, bring } = fakePod(t, {}, { limits: { rx: 0, tx: 1_000_000 } });
  const [failure] = await bring(full);
  t.regex(reasonOf(failure), /cannot limit the rate of net1: .*drives by itself; limit it on the node/);
  t.deepEqual(said, []);
});
