import test from "ava";
import type { Vm } from "../../hypervisor/hypervisor.ts";
import type { AttachedNic } from "../../network/attached-nic.ts";
import { modelNamed } from "../../network/models.ts";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import { codeOf, reasonOf } from "../../sys/error.ts";
import type { Ledger } from "../../sys/ledger.ts";
import type { Link } from "../../sys/netlink/records.ts";
import { Code } from "../../sys/status.ts";
import type { Log } from "../log.ts";
import { openPodNics } from "./pod-nics.ts";

const silent: Log = { debug() {}, info() {}, warn() {}, error() {} };
const link = (index: number): Link => ({
  ...{ index, name: `net${index}`, kind: "veth", type: 1, mac: `02:00:00:00:00:0${index}`, mtu: 1500 },
  ...{ flags: 0x1043, txQueueLength: 1000, peerIndex: 0, masterIndex: 0, operationalState: 6, alias: "" },
});

/** A NIC that is plugged in. */
function nic(index: number): AttachedNic {
  const { name, mac, mtu } = link(index);
  const plan = { id: name, name, mac, mtu, queues: 1, link: link(index), tapName: `tap${index}_tapir` };
  return {
    ...{ plan, tapName: plan.tapName, tapFds: [], vhostFds: [] },
    closeDescriptors() {},
    limiter: { limits: { rx: 0, tx: 0 }, async set() {} },
    async release() {},
  };
}

test("a NIC that cannot be adjusted to its link's MTU keeps nothing from the others", async (t) => {
  const refusing = {
    ...nic(1),
    limiter: {
      limits: { rx: 1, tx: 1 },
      async set() {
        throw new Error("no queue");
      },
    },
  };
  const nics = openPodNics({
    ...{ model: modelNamed("tcfilter"), ledger: {} as Ledger, vm: { pid: 1 } as Vm, vcpus: 1 },
    ...{ nics: [refusing, nic(2)], vhostNet: false, limits: { rx: 0, tx: 0 }, log: silent },
  });
  const links = [1, 2].map((index) => ({
    ...{ link: { ...link(index), mtu: 1400 }, addresses: [], neighbors: [], sysctls: {} },
  }));
  const found = { netns: "/proc/self/ns/net", netnsInode: 1, links, loopbackIndex: 1, routes: [], rules: [] };
  const { plans } = nics.plan(found);
  const failures = await nics.bringTo(found, plans, deadlineIn(5000, "sync"));
  t.deepEqual(failures.map(reasonOf), ["no queue"]);
  t.deepEqual(
    nics.connected().map(({ plan }) => plan.mtu),
    [1500, 1400],
  );
});

test("NICs that the guest does not let go leave half of the time for what comes after", async (t) => {
  const asked: string[] = [];
  const vm = {
    pid: 1,
    nics: {
      attach: async () => undefined,
      detach(id: string, deadline: Deadline) {
        asked.push(id);
        return deadline.race(new Promise<never>(() => undefined));
      },
    },
    restored: undefined,
  } as unknown as Vm;
  const nics = openPodNics({
    ...{ model: modelNamed("tcfilter"), ledger: {} as Ledger, vm, nics: [nic(1), nic(2)], vcpus: 1 },
    ...{ vhostNet: false, limits: { rx: 0, tx: 0 }, log: silent },
  });
  const empty = { netns: "/run/netns/x", netnsInode: 1, links: [], loopbackIndex: 1, routes: [], rules: [] };
  // A deadline keeps nothing awake.
  const awake = setInterval(() => undefined, 1000);
  t.teardown(() => clearInterval(awake));
  using deadline = deadlineIn(600, "sync");
  const failures = await nics.bringTo(empty, [], deadline);
  t.deepEqual(asked, ["net1", "net2"]);
  t.deepEqual(failures.map(codeOf), [Code.DEADLINE_EXCEEDED, Code.DEADLINE_EXCEEDED]);
  t.regex(reasonOf(failures[0]), /unplug net1/);
  t.true(deadline.remainingMs() > 100);
  t.true(nics.has("net1"), "it is tried again");
});
