import type { Deadline } from "../../sys/deadline.ts";
import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import type { QmpClient } from "../qmp/client.ts";
import type { CpuSlot } from "../qmp/commands.ts";

/**
 * The vCPUs of a running VM. They come and stay: QEMU 7.2 under TCG breaks down when a place is used a second time, and a
 * vCPU that the guest has taken out of use costs nothing.
 */
export interface Cpus {
  /** How many there are, with those it started with. */
  readonly count: number;
  /** Adds until there are so many. After an error `count` tells how far it came; may be tried again. */
  raise(wanted: number, deadline: Deadline): Promise<void>;
}

export function createCpus(vm: string, qmp: QmpClient, atStart: number): Cpus {
  let count = atStart;
  return {
    get count() {
      return count;
    },
    async raise(wanted, deadline) {
      const missing = wanted - count;
      if (missing <= 0) return;
      const slots = await qmp.execute("query-hotpluggable-cpus", undefined, deadline);
      const free = slots.filter((slot) => slot["qom-path"] === undefined).toSorted(byPlace);
      if (free.length < missing) throw noSlot(vm, missing, free.length);
      for (const slot of free.slice(0, missing)) {
        await qmp.execute("device_add", { driver: slot.type, id: `cpu-${count}`, ...slot.props }, deadline);
        count += 1;
      }
    },
  };
}

/** The guest numbers them in the order of their places. */
function byPlace({ props: a }: CpuSlot, { props: b }: CpuSlot): number {
  return (a["core-id"] ?? 0) - (b["core-id"] ?? 0);
}

function noSlot(vm: string, missing: number, free: number): TapirError {
  return new TapirError({
    code: Code.RESOURCE_EXHAUSTED,
    operation: "plug",
    object: `${missing} vCPUs into VM ${vm}`,
    cause: `it has room for ${free}`,
    hint: "raise hypervisor.qemu.default_maxvcpus for new pods",
  });
}
