// Requires root, qemu-system-x86_64, and the guest image below build/.
// CPUs and memory that come and go while a real guest runs, below containerd: hypervisor and agent alone.
import test from "ava";
import type { QmpEvent } from "../../hypervisor/qmp/events.ts";
import type { VmSize } from "../../hypervisor/size.ts";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import { useInventory } from "../harness/fixture.ts";
import { bootGuest, type GuestVm } from "../harness/guest-vm.ts";

const MARK = "tapir-size-";
const MIB = 1024 * 1024;
const START: VmSize = { vcpus: 1, memoryMiB: 256 };
const MOST: VmSize = { vcpus: 3, memoryMiB: 1100 };
const soon = (): Deadline => deadlineIn(60_000, "test");

let guest: GuestVm;

useInventory(test, MARK, async () => {
  await guest?.[Symbol.asyncDispose]();
});

test.before("boot", async () => {
  guest = await bootGuest(MARK, [], 1, MOST);
});

async function memoryInUse(): Promise<number> {
  const { agent } = guest;
  const { memoryBytes } = await agent.containers.onlineResources(
    { vcpus: 0, memoryBytes: 0n, atMostVcpus: 0 },
    soon(),
  );
  return Number(memoryBytes) / MIB;
}

/** Waits until QEMU has seen that the guest uses so much of the memory that came later. */
async function laterMemory(change: () => Promise<unknown>, wantedMiB: number): Promise<void> {
  const reached = (event: QmpEvent): true | undefined =>
    (event.event === "MEMORY_DEVICE_SIZE_CHANGE" && event.data.size === wantedMiB * MIB) || undefined;
  const watch = guest.vm.qmp.watch("change of the guest's memory", reached);
  try {
    await change();
    await soon().race(watch.found);
  } finally {
    watch.end();
  }
}

test.serial("twice: the guest gets CPUs and memory, and gives them back", async (t) => {
  const { vm, agent } = guest;
  const { containers } = agent;
  const before = await agent.getGuestDetails(soon());
  const blocks = await memoryInUse();
  t.deepEqual({ ...vm.sizing.now }, START);
  for (const round of [1, 2]) {
    const start = performance.now();
    // Rounded up to whole blocks of the guest's.
    const now = await vm.sizing.resize({ vcpus: 3, memoryMiB: 256 + 300 }, soon());
    t.deepEqual(now, { vcpus: 3, memoryMiB: 256 + 384 });
    const told = performance.now();
    const memoryBytes = BigInt((blocks + 384) * MIB);
    await containers.onlineResources({ vcpus: 3, memoryBytes, atMostVcpus: 3 }, soon());
    const online = performance.now();
    const large = await agent.getGuestDetails(soon());
    t.is(large.vcpus, 3);
    const more = Number(large.memoryTotalBytes - before.memoryTotalBytes) / MIB;
    t.is(more, 384);

    await laterMemory(async () => {
      // CPUs that came stay; the guest does not use them.
      t.deepEqual(await vm.sizing.resize(START, soon()), { vcpus: 3, memoryMiB: 256 });
    }, 0);
    await containers.onlineResources({ vcpus: 0, memoryBytes: 0n, atMostVcpus: 1 }, soon());
    const small = await agent.getGuestDetails(soon());
    t.is(small.vcpus, 1);
    t.is(small.memoryTotalBytes, before.memoryTotalBytes);
    t.is(await memoryInUse(), blocks);
    const ms = [told - start, online - told, performance.now() - online].map((one) => one.toFixed(0));
    t.log(`round ${round}, ms: told ${ms[0]}, in use ${ms[1]}, given back ${ms[2]}`);
  }
});

test.serial("what is too much is cut to what the VM may have; nothing less than at the start", async (t) => {
  const { sizing } = guest.vm;
  t.deepEqual(sizing.most, { vcpus: 3, memoryMiB: 256 + 768 });
  t.deepEqual(await sizing.resize({ vcpus: 99, memoryMiB: 1 << 20 }, soon()), sizing.most);
  t.deepEqual(await sizing.resize({ vcpus: 0, memoryMiB: 0 }, soon()), { vcpus: 3, memoryMiB: 256 });
});
