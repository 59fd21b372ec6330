import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { VmNic } from "../../hypervisor/hypervisor.ts";
import type { QemuVm } from "../../hypervisor/qemu/vm.ts";
import { Interface, InterfaceAddress } from "../../proto/gen/tapir/agent/v1/agent.ts";
import { type Agent, connectAgent } from "../../shim/agent-client.ts";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import { closeAll } from "../../sys/fdpass.ts";
import { openLedger } from "../../sys/ledger.ts";
import { openTap } from "../../sys/tap.ts";
import { makeNetns } from "../harness/netns.ts";
import { restoreGuest } from "../harness/restored-guest.ts";

const BUILD_MS = 120_000;

export const soon = (): Deadline => deadlineIn(30_000, "test");

/** A restored guest, as pods have: its translated code is bounded. It has no NICs; and a netns for the taps of those that come. */
export interface HotplugGuest extends AsyncDisposable {
  readonly vm: QemuVm;
  readonly agent: Agent;
  readonly netns: string;
  /** A tap of its own for each NIC; `close` lets go of ours. */
  openNic(id: string, queues: number): VmNic & { close(): void };
  /** Waits in the guest until the NIC is there, and gives it a name and an address. Of a port: whichever lies behind it, which gets that MAC. */
  configure(
    nic: Pick<VmNic, "mac"> & { readonly port?: string },
    name: string,
    address?: string,
  ): Promise<void>;
  macs(): Promise<string[]>;
}

export async function restoreHotplugGuest(mark: string, rootPorts: number): Promise<HotplugGuest> {
  await using made = new AsyncDisposableStack();
  const directory = mkdtempSync(`/dev/shm/${mark}`);
  made.defer(() => rmSync(directory, { recursive: true }));
  const { path: netns } = made.use(await makeNetns(`${mark}${process.pid}`));
  const ledger = openLedger(join(directory, "state"));
  made.defer(() => ledger.unwind());
  const wanted = { name: "hotplug", store: join(directory, "factory"), vcpus: 2, rootPorts };
  const vm = await restoreGuest(wanted, ledger, deadlineIn(BUILD_MS, "save and restore a guest"));
  const agent = made.use(connectAgent(vm.agentSocket));
  await agent.ready(soon());
  const kept = made.move();
  return {
    ...{ vm, agent, netns },
    openNic(id, queues) {
      const index = Number(id.replace(/\D/g, ""));
      const tapFds = openTap({ netns, name: `tap-${id}`, queues });
      return {
        ...{ id, mac: `02:00:00:00:01:${index.toString(16).padStart(2, "0")}`, tapFds, vhostFds: [] },
        close: () => closeAll(tapFds),
      };
    },
    async configure({ mac, port }, name, address) {
      const wanted = {
        ...Interface.decode(EMPTY),
        ...{ name, mac, port, mtu: 1400, up: true, multicast: true, txQueueLength: 1000 },
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
