import { availableParallelism, totalmem } from "node:os";
import type { Accelerator } from "../../hypervisor/accelerator.ts";
import type { VmSize } from "../../hypervisor/size.ts";
import type { Configuration } from "../config/schema.ts";

/** What this machine has. */
export interface Machine {
  readonly cpus: number;
  readonly memoryBytes: number;
}

/** A guest that QEMU translates sees 40 bits of addresses, of which half is for memory that may come. */
const TCG_MEMORY_MIB = 512 * 1024;
const GIB_IN_MIB = 1024;
const MIB = 1024 * 1024;

/** What a pod's VM may grow to: as configured, else what the machine has, in whole GiB so that it is the same each time. */
export function largestSize(
  qemu: Configuration["hypervisor"]["qemu"],
  accelerator: Accelerator,
  machine: Machine = { cpus: availableParallelism(), memoryBytes: totalmem() },
): VmSize {
  const { defaultVcpus, defaultMaxvcpus, defaultMemoryMib, defaultMaxmemoryMib } = qemu;
  const machineMiB = Math.floor(machine.memoryBytes / MIB / GIB_IN_MIB) * GIB_IN_MIB;
  const memoryMiB = defaultMaxmemoryMib === 0 ? machineMiB : defaultMaxmemoryMib;
  return {
    vcpus: Math.max(defaultVcpus, defaultMaxvcpus === 0 ? machine.cpus : defaultMaxvcpus),
    memoryMiB: Math.max(
      defaultMemoryMib,
      accelerator === "tcg" ? Math.min(memoryMiB, TCG_MEMORY_MIB) : memoryMiB,
    ),
  };
}
