import type { VmSize } from "../../hypervisor/size.ts";
import type { ContainerLimits } from "./container-limits.ts";

const MIB = 1024 * 1024;

/**
 * What a VM should have for containers with these limits: what it starts with for the guest's own needs and for containers
 * without limits, and for each limit as much as it allows. Parts of CPUs add up. Pure.
 */
export function wantedSize(start: VmSize, limits: Iterable<ContainerLimits>): VmSize {
  let cpus = 0;
  let bytes = 0;
  for (const one of limits) {
    cpus += one.cpus;
    bytes += one.memoryBytes;
  }
  // 0.1 + 0.2 is not quite 0.3.
  const whole = Math.ceil(Math.round(cpus * 1000) / 1000);
  return { vcpus: start.vcpus + whole, memoryMiB: start.memoryMiB + Math.ceil(bytes / MIB) };
}

/** For a container whose limits are being changed: nothing is taken from it before, nothing is missing after. Pure. */
export function largerLimits(a: ContainerLimits, b: ContainerLimits): ContainerLimits {
  return { cpus: Math.max(a.cpus, b.cpus), memoryBytes: Math.max(a.memoryBytes, b.memoryBytes) };
}
