import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestFn } from "ava";
import { chooseAccelerator } from "../../hypervisor/accelerator.ts";
import { createQemu } from "../../hypervisor/qemu/qemu.ts";
import type { QemuVm } from "../../hypervisor/qemu/vm.ts";
import { type Agent, connectAgent } from "../../shim/agent-client.ts";
import type { GuestContainers } from "../../shim/containers-client.ts";
import { deadlineIn } from "../../sys/deadline.ts";
import { type Ledger, openLedger } from "../../sys/ledger.ts";
import { useInventory } from "../harness/fixture.ts";
import { BUILT, built } from "../harness/project.ts";
import { soon } from "./pod.ts";

/** Where a storage finds the guest's own image: there it is a disk, which a container may have as its rootfs. */
const IMAGE = { serial: "tapir-root", fileSystem: "erofs", options: ["ro"] };

/**
 * Gives an integration file a guest that runs containers, booted below containerd: hypervisor and agent alone. Its
 * storage "image" is the guest's image. Call it once per file.
 */
export function useGuest(test: TestFn, mark: string, memoryMiB = 384): () => GuestContainers {
  let directory: string;
  let ledger: Ledger;
  let vm: QemuVm;
  let agent: Agent;

  useInventory(test, mark, async () => {
    agent?.[Symbol.dispose]();
    await ledger?.unwind();
    rmSync(directory, { recursive: true });
  });

  test.before("boot", async () => {
    directory = mkdtempSync(join(tmpdir(), mark));
    ledger = openLedger(join(directory, "state"));
    vm = await createQemu().start(
      {
        name: mark,
        directory: ledger.directory,
        qemu: "/usr/bin/qemu-system-x86_64",
        kernel: built(join(BUILT.guest, "vmlinuz")),
        initramfs: built(join(BUILT.guest, "initramfs.cpio")),
        image: built(join(BUILT.guest, "root.erofs")),
        imageDriver: "virtio-blk",
        accelerator: chooseAccelerator("auto"),
        vcpus: 2,
        memoryMiB,
        rootPorts: 1,
        kernelParameters: [],
        nics: [],
      },
      ledger,
      deadlineIn(30_000, "start QEMU"),
    );
    agent = connectAgent(vm.agentSocket);
    await agent.ready(deadlineIn(50_000, "boot the guest"));
    await agent.createSandbox(nobodysRequest(), soon());
    await agent.containers.addStorage({ storage: { id: "image", blockDevice: IMAGE } }, soon());
  });
  return () => agent.containers;
}

/** A pod without a network. */
function nobodysRequest(): Parameters<Agent["createSandbox"]>[0] {
  return {
    sandboxId: "containers",
    hostname: "containers",
    dns: undefined,
    unixTimeNanoseconds: BigInt(Date.now()) * 1_000_000n,
    madeUnixTimeNanoseconds: 0n,
    entropy: randomBytes(64),
    interfaces: [],
    routes: [],
    neighbors: [],
    linkTimeoutMilliseconds: 0,
    rules: [],
  };
}
