import type { Accelerator } from "../../hypervisor/accelerator.ts";
import type { VmPlan } from "../../hypervisor/hypervisor.ts";
import { modelNamed } from "../../network/models.ts";
import { queuesFor } from "../../network/nic-plan.ts";
import { hasVhostNet } from "../../sys/tap.ts";
import type { Configuration } from "../config/schema.ts";
import { timeoutMs } from "../config/timeout.ts";
import { largestSize } from "./largest-size.ts";

/** A pod's VM as its configuration wants it. */
export function vmPlan(
  configuration: Configuration,
  accelerator: Accelerator,
  place: { readonly name: string; readonly directory: string; readonly cgroups?: readonly string[] },
): VmPlan {
  const {
    network,
    runtime,
    hypervisor: { qemu },
  } = configuration;
  return {
    ...place,
    qemu: qemu.path,
    kernel: qemu.kernel,
    initramfs: qemu.initramfs,
    image: qemu.image,
    imageDriver: qemu.imageDriver,
    accelerator,
    vcpus: qemu.defaultVcpus,
    memoryMiB: qemu.defaultMemoryMib,
    most: largestSize(qemu, accelerator),
    rootPorts: qemu.pcieRootPorts,
    restoredTbSizeMiB: qemu.tcgTbSizeMib,
    kernelParameters: qemu.kernelParams,
    quitMs: timeoutMs(configuration, runtime.stopTimeoutSeconds, accelerator),
    firstNic:
      modelNamed(network.internetworkingModel).serves.length === 0
        ? undefined
        : { queues: queuesFor(qemu.defaultVcpus), vhost: !qemu.disableVhostNet && hasVhostNet() },
  };
}
