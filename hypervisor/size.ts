import type { Deadline } from "../sys/deadline.ts";

/** What a VM has of the machine. */
export interface VmSize {
  readonly vcpus: number;
  readonly memoryMiB: number;
}

/** Memory comes and goes in steps of this: a block of the guest kernel's (128 MiB on x86-64 below 64 GiB). */
export const MEMORY_STEP_MIB = 128;

/** CPUs and memory that come and go while the guest runs. They go with the VM. */
export interface VmSizing {
  /** What it started with, and never has less of. */
  readonly start: VmSize;
  /** What it can have. */
  readonly most: VmSize;
  /** What QEMU was told last. The guest takes its time, and keeps the memory that it cannot give back. */
  readonly now: VmSize;
  /**
   * Tells QEMU of a new size, memory rounded up to a step, both kept between `start` and `most`. What comes is there for the
   * guest to take into use, memory that goes is given back whenever the guest can, and CPUs stay: the guest can only leave them
   * unused. Returns what `now` is. Errors: RESOURCE_EXHAUSTED (no port for the memory), QEMU's refusal. May be tried again.
   */
  resize(wanted: VmSize, deadline: Deadline): Promise<VmSize>;
}

/** MiB that a VM can get beyond what it starts with, in whole steps. */
export function roomForMemory(start: VmSize, most: VmSize): number {
  const more = Math.max(0, most.memoryMiB - start.memoryMiB);
  return Math.floor(more / MEMORY_STEP_MIB) * MEMORY_STEP_MIB;
}
