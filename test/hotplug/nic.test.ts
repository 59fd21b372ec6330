// Requires root, /dev/net/tun, qemu-system-x86_64, and the guest image below build/.
// NICs that come and go while a real guest runs, below containerd: hypervisor and agent alone.
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { chooseAccelerator } from "../../hypervisor/accelerator.ts";
import type { VmNic } from "../../hypervisor/hypervisor.ts";
import { createQemu } from "../../hypervisor/qemu/qemu.ts";
import type { QemuVm } from "../../hypervisor/qemu/vm.ts";
import { type Agent, connectAgent } from "../../shim/agent-client.ts";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import { codeOf } from "../../sys/error.ts";
import { closeAll } from "../../sys/fdpass.ts";
import { type Ledger, openLedger } from "../../sys/ledger.ts";
import { Code } from "../../sys/status.ts";
import { openTap } from "../../sys/tap.ts";
import { useInventory } from "../harness/fixture.ts";
import { makeNetns, type TestNetns } from "../harness/netns.ts";
import { BUILT, built } from "../harness/project.ts";

const ROUNDS = 20;
const soon = (): Deadline => deadlineIn(30_000, "test");

let directory: string;
let ledger: Ledger;
let netns: TestNetns;
let vm: QemuVm;
let agent: Agent;

useInventory(test, "tapir-hotplug-", async () => {
  agent?.[Symbol.dispose]();
  await ledger?.unwind();
  await netns?.[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true });
});

test.before("boot", async () => {
  directory = mkdtempSync(join(tmpdir(), "tapir-hotplug-"));
  netns = await makeNetns(`tapir-hotplug-${process.pid}`);
  ledger = openLedger(join(directory, "state"));
  vm = await createQemu().start(
    {
      name: "hotplug",
      directory: ledger.directory,
      qemu: "/usr/bin/qemu-system-x86_64",
      kernel: built(join(BUILT.guest, "vmlinuz")),
      initramfs: built(join(BUILT.guest, "initramfs.cpio")),
      image: built(join(BUILT.guest, "root.erofs")),
      imageDriver: "virtio-pmem",
      accelerator: chooseAccelerator("auto"),
      vcpus: 2,
      memoryMiB: 256,
      rootPorts: 3,
      kernelParameters: [],
      nics: [],
    },
    ledger,
    soon(),
  );
  agent = connectAgent(vm.agentSocket);
  await agent.ready(deadlineIn(90_000, "boot the guest"));
});

/** A tap of its own for each NIC; `close` lets go of ours. */
function openNic(id: string, queues: number): VmNic & { close(): void } {
  const index = Number(id.replace(/\D/g, ""));
  const tapFds = openTap({ netns: netns.path, name: `tap-${id}`, queues });
  return {
    id,
    mac: `02:00:00:00:01:0${index}`,
    tapFds,
    vhostFds: [],
    close: () => closeAll(tapFds),
  };
}

/** Waits in the guest until the NIC is there, and names it. */
async function nameInGuest(nic: VmNic, name: string): Promise<void> {
  const wanted = { name, mac: nic.mac, mtu: 1400, addresses: [], up: true, multicast: true };
  const rest = { noArp: false, promiscuous: false, allMulticast: false, txQueueLength: 1000, sysctls: {} };
  await agent.updateInterface({ interface: { ...wanted, ...rest }, linkTimeoutMilliseconds: 10_000 }, soon());
}

async function macsInGuest(): Promise<string[]> {
  return (await agent.listInterfaces(soon())).interfaces.map(({ mac }) => mac);
}

function descriptorsOfQemu(): number {
  return readdirSync(`/proc/${vm.pid}/fd`).length;
}

test.serial(`${ROUNDS} rounds: the guest sees the NIC come and go, nothing piles up`, async (t) => {
  const before = descriptorsOfQemu();
  const times: { plug: number; usable: number; unplug: number }[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const nic = openNic("eth1", 1);
    const start = performance.now();
    await vm.nics.attach(nic, soon());
    const plugged = performance.now();
    nic.close();
    await nameInGuest(nic, "eth1");
    const usable = performance.now();
    await vm.nics.detach("eth1", soon());
    times.push({ plug: plugged - start, usable: usable - start, unplug: performance.now() - usable });
    t.false((await macsInGuest()).includes(nic.mac));
    t.is(descriptorsOfQemu(), before);
  }
  const median = (pick: (one: (typeof times)[number]) => number): string =>
    (times.map(pick).sort((a, b) => a - b)[ROUNDS / 2] ?? 0).toFixed(0);
  t.log(
    `median ms: plugged ${median((one) => one.plug)}, usable ${median((one) => one.usable)}, unplugged ${median((one) => one.unplug)}`,
  );
});

test.serial("three NICs at once, one with two queues; a fourth is refused", async (t) => {
  const before = descriptorsOfQemu();
  const nics = [openNic("eth1", 2), openNic("eth2", 1), openNic("eth3", 1)];
  const fourth = openNic("eth4", 1);
  await Promise.all(nics.map((nic) => vm.nics.attach(nic, soon())));
  t.is(codeOf(await t.throwsAsync(vm.nics.attach(fourth, soon()))), Code.RESOURCE_EXHAUSTED);
  for (const nic of [...nics, fourth]) nic.close();
  await Promise.all(nics.map((nic) => nameInGuest(nic, nic.id)));
  const inGuest = await macsInGuest();
  t.true(nics.every(({ mac }) => inGuest.includes(mac)));
  await Promise.all(nics.map(({ id }) => vm.nics.detach(id, soon())));
  t.is(descriptorsOfQemu(), before);
});

test.serial("a paused guest: a bounded error, other commands served, a later try works", async (t) => {
  const nic = openNic("eth1", 1);
  await vm.nics.attach(nic, soon());
  nic.close();
  await nameInGuest(nic, "eth1");
  await vm.qmp.execute("stop", undefined, soon());
  const detaching = vm.nics.detach("eth1", deadlineIn(500, "remove eth1"));
  t.false((await vm.qmp.execute("query-status", undefined, soon())).running);
  t.is(codeOf(await t.throwsAsync(detaching)), Code.DEADLINE_EXCEEDED);
  await vm.qmp.execute("cont", undefined, soon());
  await vm.nics.detach("eth1", soon());
  t.false((await macsInGuest()).includes(nic.mac));
});
