import type { Deadline } from "../../sys/deadline.ts";
import type { QemuVm } from "../qemu/vm.ts";

/** One moment on two clocks. */
export interface SameMoment {
  readonly guestNanoseconds: bigint;
  readonly hostNanoseconds: bigint;
}

/**
 * Stops a guest of which one moment is known; returns what its CLOCK_MONOTONIC reads from now on. QEMU stops its clocks first and
 * its processors then (do_vm_stop in softmmu/cpus.c), which takes long on a busy machine: the command counts, not its answer.
 */
export async function stopGuest(vm: QemuVm, moment: SameMoment, deadline: Deadline): Promise<bigint> {
  const asked = process.hrtime.bigint();
  await vm.qmp.execute("stop", undefined, deadline);
  return moment.guestNanoseconds + (asked - moment.hostNanoseconds);
}
