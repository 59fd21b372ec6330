import type { Accelerator } from "../../hypervisor/accelerator.ts";
import { createFactory } from "../../hypervisor/factory/factory.ts";
import type { Measure } from "../../hypervisor/factory/restore.ts";
import type { Hypervisor } from "../../hypervisor/hypervisor.ts";
import type { Configuration } from "../config/schema.ts";
import { timeoutMs } from "../config/timeout.ts";

/** Where pods' VMs come from, as the configuration wants it. */
export function podFactory(
  configuration: Configuration,
  accelerator: Accelerator,
  pod: { readonly measure: Measure; turn(): Promise<void>; warn(message: string, error: unknown): void },
): Hypervisor {
  const { template, path, memory, attach, cacheSize, cacheSocket } = configuration.factory;
  const bootMs = timeoutMs(configuration, configuration.agent.dialTimeoutSeconds, accelerator);
  return createFactory({
    template,
    store: path,
    memory,
    attach,
    cacheSocket: cacheSize > 0 ? cacheSocket : undefined,
    async prepare(guest, deadline) {
      const { prepareGuest } = await import("./prepare-guest.ts");
      return prepareGuest(guest, deadline.within(bootMs, "prepare a guest to be saved"));
    },
    ...pod,
  });
}
