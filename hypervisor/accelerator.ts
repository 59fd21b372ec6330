import { accessSync, constants, readFileSync } from "node:fs";
import { reasonOf, TapirError } from "../sys/error.ts";
import { Code } from "../sys/status.ts";

export type Accelerator = "kvm" | "tcg";

/** What the machine shows; injected in tests. */
export interface AcceleratorProbe {
  /** Throws when /dev/kvm cannot be opened for reading and writing. */
  openKvm(): void;
  /** The text of /proc/cpuinfo. */
  cpuinfo(): string;
}

const machineProbe: AcceleratorProbe = {
  openKvm: () => accessSync("/dev/kvm", constants.R_OK | constants.W_OK),
  cpuinfo: () => readFileSync("/proc/cpuinfo", "latin1"),
};

/**
 * The accelerator a setting stands for. KVM needs both a device that opens and a CPU that shows virtualization:
 * in some nested machines /dev/kvm opens and no ordinary kernel runs on it.
 * Errors: FAILED_PRECONDITION when `kvm` is forced where it cannot work.
 */
export function chooseAccelerator(
  setting: "auto" | Accelerator,
  probe: AcceleratorProbe = machineProbe,
): Accelerator {
  if (setting === "tcg") return "tcg";
  const obstacle = kvmObstacle(probe);
  if (obstacle === undefined) return "kvm";
  if (setting === "auto") return "tcg";
  throw new TapirError({
    code: Code.FAILED_PRECONDITION,
    operation: "use",
    object: "accelerator kvm",
    cause: obstacle,
    hint: 'set hypervisor.qemu.accelerator to "auto" or "tcg", or turn on virtualization in the firmware or the outer hypervisor',
  });
}

function kvmObstacle(probe: AcceleratorProbe): string | undefined {
  try {
    probe.openKvm();
  } catch (error) {
    return `/dev/kvm does not open (${reasonOf(error)})`;
  }
  return hasVirtualization(probe.cpuinfo()) ? undefined : "the CPU shows neither vmx nor svm";
}

function hasVirtualization(cpuinfo: string): boolean {
  const flags = cpuinfo.split("\n").find((line) => /^flags\s*:/.test(line)) ?? "";
  return /\s(vmx|svm)(\s|$)/.test(flags);
}
