import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chooseAccelerator } from "../hypervisor/accelerator.ts";
import { createQemu } from "../hypervisor/qemu/qemu.ts";
import {
  Interface,
  InterfaceAddress,
  type UpdateInterfaceRequest,
} from "../proto/gen/tapir/agent/v1/agent.ts";
import { connectAgent } from "../shim/agent-client.ts";
import { type Deadline, deadlineIn } from "../sys/deadline.ts";
import { closeAll } from "../sys/fdpass.ts";
import { openLedger } from "../sys/ledger.ts";
import { openTap } from "../sys/tap.ts";
import { makeNetns } from "../test/harness/netns.ts";
import { BUILT, built } from "../test/harness/project.ts";
import { runOk } from "../test/harness/run.ts";
import { firstAnswer } from "./first-answer.ts";
import type { Arm } from "./measure.ts";

const HOST = "10.99.0.1";
const GUEST = "10.99.0.2";
const MAC = "02:00:00:00:63:02";
const CYCLE_MS = 30_000;

/** Our hypervisor and our agent, below the shim. */
export interface HotplugArms extends AsyncDisposable {
  readonly arms: readonly Arm[];
  readonly qemuPid: number;
}

export async function startHotplugArms(deadline: Deadline): Promise<HotplugArms> {
  const directory = mkdtempSync(join(tmpdir(), "tapir-bench-"));
  await using made = new AsyncDisposableStack();
  made.defer(() => rmSync(directory, { recursive: true }));
  const netns = made.use(await makeNetns(`tapir-bench-${process.pid}`));
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
      vcpus: 1,
      memoryMiB: 256,
      rootPorts: 1,
      kernelParameters: [],
      nics: [],
    },
    ledger,
    deadline,
  );
  const agent = made.use(connectAgent(vm.agentSocket));
  await agent.ready(deadline);

  /** Plugs a NIC in and out. The guest waits for it before it is there, as in a pod's start. */
  const cycle = async (addresses: readonly string[]): Promise<Record<string, number>> => {
    const limit = deadlineIn(CYCLE_MS, "plug a NIC");
    const opening = performance.now();
    const tapFds = openTap({ netns: netns.path, name: "tap", queues: 1 });
    const openedMs = performance.now() - opening;
    // The other end is the bench's own: what that takes is not counted.
    await address(netns.path, limit);
    const started = performance.now() - openedMs;
    const since = (at = performance.now()): number => at - started;
    const used =
      addresses.length === 0 ? undefined : firstAnswer(netns.path, GUEST, { intervalMs: 2 }, limit);
    used?.catch(() => undefined);
    const known = agent.updateInterface(request(addresses), limit).then(() => since());
    known.catch(() => undefined);
    await vm.nics.attach({ id: "nic", mac: MAC, tapFds, vhostFds: [] }, limit);
    const pluggedMs = since();
    closeAll(tapFds);
    const knownMs = await known;
    const usableMs = used === undefined ? undefined : since(await used);
    const unplugging = performance.now();
    await vm.nics.detach("nic", limit);
    const removedMs = performance.now() - unplugging;
    const own = { openedMs, pluggedMs, removedMs };
    return usableMs === undefined ? { knownMs, ...own } : { usableMs, ...own };
  };
  const kept = made.move();
  return {
    qemuPid: vm.pid,
    arms: [
      { name: "visible", run: () => cycle([]) },
      { name: "usable", run: () => cycle([GUEST]) },
    ],
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** The tap's other end is the node's; it knows the guest's MAC, so that only the guest is waited for. */
async function address(netns: string, deadline: Deadline): Promise<void> {
  const script = [
    `addr add ${HOST}/24 dev tap`,
    "link set tap up",
    `neigh replace ${GUEST} lladdr ${MAC} dev tap nud permanent`,
  ].join("\n");
  await runOk({ command: "ip", args: ["-batch", "-"], netns, input: script, deadline });
}

/** Messages start from their empty selves: fields that come later keep their defaults. */
const EMPTY = new Uint8Array(0);

function request(addresses: readonly string[]): UpdateInterfaceRequest {
  return {
    interface: {
      ...Interface.decode(EMPTY),
      ...{ name: "eth1", mac: MAC, mtu: 1500, up: true, multicast: true, txQueueLength: 1000 },
      addresses: addresses.map((address) => ({
        ...InterfaceAddress.decode(EMPTY),
        address,
        prefixLength: 24,
      })),
    },
    linkTimeoutMilliseconds: 10_000,
  };
}
