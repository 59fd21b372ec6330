import type { Deadline } from "../../sys/deadline.ts";
import type { RestoredGuest } from "../hypervisor.ts";
import type { QemuVm } from "../qemu/vm.ts";

/** Lets a stopped guest run; its CLOCK_MONOTONIC goes on from where it was. */
export async function resumeGuest(
  vm: QemuVm,
  monotonicNanoseconds: bigint,
  deadline: Deadline,
): Promise<RestoredGuest["clock"]> {
  const before = unixNanoseconds();
  await vm.qmp.execute("cont", undefined, deadline);
  return { monotonicNanoseconds, unixNanoseconds: (before + unixNanoseconds()) / 2n };
}

function unixNanoseconds(): bigint {
  return BigInt(Date.now()) * 1_000_000n;
}
