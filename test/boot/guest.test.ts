// Requires root, /dev/net/tun, qemu-system-x86_64, and the guest image below build/.
// The guest on machines that are not the default one, below containerd: hypervisor and agent alone.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { chooseAccelerator } from "../../hypervisor/accelerator.ts";
import type { VmSpec } from "../../hypervisor/hypervisor.ts";
import { exitError } from "../../hypervisor/qemu/exit.ts";
import { createQemu } from "../../hypervisor/qemu/qemu.ts";
import type { QemuVm } from "../../hypervisor/qemu/vm.ts";
import { connectAgent } from "../../shim/agent-client.ts";
import { deadlineIn } from "../../sys/deadline.ts";
import { closeAll } from "../../sys/fdpass.ts";
import { openLedger } from "../../sys/ledger.ts";
import { openTap } from "../../sys/tap.ts";
import { useInventory } from "../harness/fixture.ts";
import { makeNetns } from "../harness/netns.ts";
import { BUILT, built } from "../harness/project.ts";

useInventory(test, "tapir-boot-");

async function start(t: ExecutionContext, changes: Partial<VmSpec>): Promise<QemuVm> {
  const directory = mkdtempSync(join(tmpdir(), "tapir-boot-"));
  const ledger = openLedger(join(directory, "state"));
  t.teardown(async () => {
    await ledger.unwind();
    rmSync(directory, { recursive: true });
  });
  const spec: VmSpec = {
    name: "boot-test",
    directory: ledger.directory,
    qemu: "/usr/bin/qemu-system-x86_64",
    kernel: built(join(BUILT.guest, "vmlinuz")),
    initramfs: built(join(BUILT.guest, "initramfs.cpio")),
    image: built(join(BUILT.guest, "root.erofs")),
    imageDriver: "virtio-pmem",
    accelerator: chooseAccelerator("auto"),
    vcpus: 1,
    memoryMiB: 256,
    rootPorts: 0,
    kernelParameters: [],
    nics: [],
    ...changes,
  };
  return createQemu().start(spec, ledger, deadlineIn(30_000, "start QEMU"));
}

test.serial(
  "the image as a disk, two vCPUs, a cold NIC with two queues, which can be unplugged",
  async (t) => {
    await using netns = await makeNetns(`tapir-boot-${process.pid}`);
    const tapFds = openTap({ netns: netns.path, name: "tap-eth0", queues: 2 });
    const nic = { id: "eth0", mac: "02:00:00:00:02:01", tapFds, vhostFds: [] };
    const vm = await start(t, { imageDriver: "virtio-blk", vcpus: 2, nics: [nic] });
    closeAll(tapFds);
    using agent = connectAgent(vm.agentSocket);
    const deadline = deadlineIn(90_000, "boot the guest");
    await agent.ready(deadline);
    const macs = async (): Promise<string[]> =>
      (await agent.listInterfaces(deadline)).interfaces.map(({ mac }) => mac);
    t.true((await macs()).includes(nic.mac));
    await vm.nics.detach("eth0", deadline);
    t.false((await macs()).includes(nic.mac));
  },
);

test.serial(
  "a guest that panics before it has any driver ends the VM, and the error shows its words",
  async (t) => {
    const vm = await start(t, { kernelParameters: ["rdinit=/none", "root=/dev/none"] });
    const exit = await deadlineIn(60_000, "panic").race(vm.exited);
    t.like(exit, { code: 0, guestPanicked: true });
    const { message } = exitError("boot", exit, vm.consoleTail());
    t.regex(message, /the guest kernel panicked .*Kernel panic - not syncing: VFS: Unable to mount root fs/s);
  },
);
