import type { Deadline } from "../../sys/deadline.ts";
import type { RestoredGuest } from "../hypervisor.ts";
import type { QemuVm } from "../qemu/vm.ts";
import { isEvent, type QmpEvent } from "../qmp/events.ts";

/**
 * Lets a stopped guest run; its CLOCK_MONOTONIC goes on from where it was. QEMU says when that was: on a busy machine its answer is
 * read long after. What it says counts as far as it can be true.
 */
export async function resumeGuest(
  vm: QemuVm,
  monotonicNanoseconds: bigint,
  deadline: Deadline,
): Promise<RestoredGuest["clock"]> {
  const before = unixMicroseconds();
  const said = await vm.qmp.executeAndAwait("cont", undefined, resumedAt, deadline);
  const after = unixMicroseconds();
  const at = Number.isNaN(said) ? (before + after) / 2 : Math.min(Math.max(said, before), after);
  return { monotonicNanoseconds, unixNanoseconds: BigInt(Math.round(at)) * 1000n };
}

function resumedAt(event: QmpEvent): number | undefined {
  return isEvent(event, "RESUME") ? event.atMicroseconds : undefined;
}

function unixMicroseconds(): number {
  return Date.now() * 1000;
}
