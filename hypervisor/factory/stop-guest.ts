import type { Deadline } from "../../sys/deadline.ts";
import type { QemuVm } from "../qemu/vm.ts";

/** One moment on two clocks. */
export interface SameMoment {
  readonly guestNanoseconds: bigint;
  readonly hostNanoseconds: bigint;
}

/** Stops a guest of which one moment is known; returns what its CLOCK_MONOTONIC reads from now on. */
export async function stopGuest(vm: QemuVm, moment: SameMoment, deadline: Deadline): Promise<bigint> {
  const before = process.hrtime.bigint();
  await vm.qmp.execute("stop", undefined, deadline);
  const stopped = (before + process.hrtime.bigint()) / 2n;
  return moment.guestNanoseconds + (stopped - moment.hostNanoseconds);
}
