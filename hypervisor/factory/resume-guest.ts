import type { Deadline } from "../../sys/deadline.ts";
import type { RestoredGuest } from "../hypervisor.ts";
import type { QemuVm } from "../qemu/vm.ts";
import { isEvent } from "../qmp/events.ts";

/**
 * Lets a stopped guest run; its CLOCK_MONOTONIC goes on from where it was. QEMU says when that was, before it answers: on a busy
 * machine its answer is read long after. What it says counts as far as it can be true.
 */
export async function resumeGuest(
  vm: QemuVm,
  monotonicNanoseconds: bigint,
  deadline: Deadline,
): Promise<RestoredGuest["clock"]> {
  const before = unixMicroseconds();
  let said = Number.NaN;
  const ignore = vm.qmp.onEvent((event) => {
    if (isEvent(event, "RESUME")) said = event.atMicroseconds;
  });
  try {
    await vm.qmp.execute("cont", undefined, deadline);
  } finally {
    ignore();
  }
  const after = unixMicroseconds();
  const at = Number.isNaN(said) ? (before + after) / 2 : Math.min(Math.max(said, before), after);
  return { monotonicNanoseconds, unixNanoseconds: BigInt(Math.round(at)) * 1000n };
}

function unixMicroseconds(): number {
  return Date.now() * 1000;
}
