import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chooseAccelerator } from "../../hypervisor/accelerator.ts";
import type { VmNic } from "../../hypervisor/hypervisor.ts";
import { createQemu } from "../../hypervisor/qemu/qemu.ts";
import type { QemuVm } from "../../hypervisor/qemu/vm.ts";
import { Interface, InterfaceAddress } from "../../proto/gen/tapir/agent/v1/agent.ts";
import { type Agent, connectAgent } from "../../shim/agent-client.ts";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import { closeAll } from "../../sys/fdpass.ts";
import { openLedger } from "../../sys/ledger.ts";
import { openTap } from "../../sys/tap.ts";
import { makeNetns } from "../harness/netns.ts";
import { BUILT, built } from "../harness/project.ts";

export const soon = (): Deadline => deadlineIn(30_000, "test");

/** A guest without NICs, and a netns for the taps of those that come. */
export interface HotplugGuest extends AsyncDisposable {
  readonly vm: QemuVm;
  readonly agent: Agent;
  readonly netns: string;
  /** A tap of its own for each NIC; `close` lets go of ours. */
  openNic(id: string, queues: number): VmNic & { close(): void };
  /** Waits in the guest until the NIC is there, and gives it a name and an address. */
  configure(nic: VmNic, name: string, address?: string): Promise<void>;
  macs(): Promise<string[]>;
}

export async function bootHotplugGuest(mark: string, rootPorts: number): Promise<HotplugGuest> {
  await using made = new AsyncDisposableStack();
  const directory = mkdtempSync(join(tmpdir(), mark));
  made.defer(() => rmSync(directory, { recursive: true }));
  const { path: netns } = made.use(await makeNetns(`${mark}${process.pid}`));
  const ledger = openLedger(join(directory, "state"));
  made.defer(() => ledger.unwind());
  const vm = await createQemu().start(
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
      rootPorts,
      kernelParameters: [],
      nics: [],
    },
    ledger,
    soon(),
  );
  const agent = made.use(connectAgent(vm.agentSocket));
  await agent.ready(deadlineIn(90_000, "boot the guest"));
  const kept = made.move();
  return {
    ...{ vm, agent, netns },
    openNic(id, queues) {
      const index = Number(id.replace(/\D/g, ""));
      const tapFds = openTap({ netns, name: `tap-${id}`, queues });
      return {
        ...{ id, mac: `02:00:00:00:01:0${index}`, tapFds, vhostFds: [] },
        close: () => closeAll(tapFds),
      };
    },
    async configure({ mac }, name, address) {
      const wanted = {
        ...Interface.decode(EMPTY),
        ...{ name, mac, mtu: 1400, up: true, multicast: true, txQueueLength: 1000 },
        addresses:
          address === undefined ? [] : [{ ...InterfaceAddress.decode(EMPTY), address, prefixLength: 24 }],
      };
      await agent.updateInterface({ interface: wanted, linkTimeoutMilliseconds: 10_000 }, soon());
    },
    macs: async () => (await agent.listInterfaces(soon())).interfaces.map(({ mac }) => mac),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** Messages start from their empty selves: fields that come later keep their defaults. */
const EMPTY = new Uint8Array(0);
