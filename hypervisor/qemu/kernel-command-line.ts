import type { VmSpec } from "../hypervisor.ts";

/**
 * What the guest kernel is told. Ours first, the configuration's after it: the kernel takes the last of two.
 */
export function kernelCommandLine(spec: VmSpec): string {
  return [...builtIn, ...spec.kernelParameters].join(" ");
}

const builtIn: readonly string[] = [
  "console=hvc0",
  // Errors and panics from before hvc0 has its driver go to the serial port; with "quiet" that costs nothing else.
  "earlyprintk=ttyS0",
  "quiet",
  // A panic ends the VM at once (QEMU runs with -no-reboot).
  "panic=-1",
  "reboot=t",
  "net.ifnames=0",
  // Room for memory hot-plug makes the kernel reserve 64 MiB of bounce buffers that nothing uses.
  "swiotlb=1",
  // Memory that comes later is taken into use at once, and mostly such that it can go again.
  "memhp_default_state=online",
  "memory_hotplug.online_policy=auto-movable",
  "cryptomgr.notests",
  "random.trust_cpu=on",
  // On a busy host the guest's clocks drift apart while it is not running: checks against each other only harm.
  "no_timer_check",
  "tsc=reliable",
  "rcupdate.rcu_expedited=1",
];
