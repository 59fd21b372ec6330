import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chooseAccelerator } from "../../hypervisor/accelerator.ts";
import type { VmNic } from "../../hypervisor/hypervisor.ts";
import { createQemu } from "../../hypervisor/qemu/qemu.ts";
import type { QemuVm } from "../../hypervisor/qemu/vm.ts";
import type { VmSize } from "../../hypervisor/size.ts";
import { type Agent, connectAgent } from "../../shim/agent-client.ts";
import { deadlineIn } from "../../sys/deadline.ts";
import { type Ledger, openLedger } from "../../sys/ledger.ts";
import { BUILT, built } from "./project.ts";

/** A guest that is nobody's, booted below containerd: hypervisor and agent alone. */
export interface GuestVm extends AsyncDisposable {
  readonly vm: QemuVm;
  readonly agent: Agent;
  readonly ledger: Ledger;
}

/** Boots a guest with `nics`, whose descriptors stay the caller's. */
export async function bootGuest(
  mark: string,
  nics: readonly VmNic[],
  rootPorts = 3,
  most?: VmSize,
): Promise<GuestVm> {
  const directory = mkdtempSync(join(tmpdir(), mark));
  const ledger = openLedger(join(directory, "state"));
  const dispose = async (): Promise<void> => {
    await ledger.unwind();
    rmSync(directory, { recursive: true });
  };
  try {
    const vm = await createQemu().start(
      {
        name: mark,
        directory: ledger.directory,
        qemu: "/usr/bin/qemu-system-x86_64",
        kernel: built(join(BUILT.guest, "vmlinuz")),
        initramfs: built(join(BUILT.guest, "initramfs.cpio")),
        image: built(join(BUILT.guest, "root.erofs")),
        imageDriver: "virtio-pmem",
        accelerator: chooseAccelerator("auto"),
        vcpus: 1,
        memoryMiB: 256,
        most,
        rootPorts,
        kernelParameters: [],
        nics,
      },
      ledger,
      deadlineIn(30_000, "start QEMU"),
    );
    const agent = connectAgent(vm.agentSocket);
    await agent.ready(deadlineIn(90_000, "boot the guest"));
    return {
      vm,
      agent,
      ledger,
      async [Symbol.asyncDispose]() {
        agent[Symbol.dispose]();
        await dispose();
      },
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}
