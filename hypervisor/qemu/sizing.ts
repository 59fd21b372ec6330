import type { Deadline } from "../../sys/deadline.ts";
import { wrapError } from "../../sys/error.ts";
import { MEMORY_STEP_MIB, roomForMemory, type VmSize, type VmSizing } from "../size.ts";
import { createCpus } from "./cpus.ts";
import { createHotplug, type HotplugContext } from "./hotplug.ts";
import { memoryKind } from "./memory-kind.ts";
import { createTurns } from "./turns.ts";

/** QEMU id of the one device whose memory grows and shrinks. */
const MEMORY = "memory";
const MIB = 1024 * 1024;

/** CPUs and memory of a VM that starts with `start` and can have `most`. Sizes are set one after the other. */
export function createSizing(context: HotplugContext, start: VmSize, most: VmSize): VmSizing {
  const { vm, qmp } = context;
  const cpus = createCpus(vm, qmp, start.vcpus);
  const memory = createHotplug(context, memoryKind);
  const inTurn = createTurns();
  const room = roomForMemory(start, most);
  /** Undefined while there is no device: most pods never need one. */
  let requestedMiB: number | undefined;

  const resizeMemory = async (wantedMiB: number, deadline: Deadline): Promise<void> => {
    if (wantedMiB === (requestedMiB ?? 0)) return;
    if (requestedMiB === undefined) {
      // The guest uses whole blocks, and the device may begin in the middle of one.
      const sizeMiB = room + MEMORY_STEP_MIB;
      await memory.attach({ id: MEMORY, sizeMiB, requestedMiB: wantedMiB }, deadline);
    } else {
      const property = "requested-size";
      await qmp.execute(
        "qom-set",
        { path: `/machine/peripheral/${MEMORY}`, property, value: wantedMiB * MIB },
        deadline,
      );
    }
    requestedMiB = wantedMiB;
  };
  const now = (): VmSize => ({ vcpus: cpus.count, memoryMiB: start.memoryMiB + (requestedMiB ?? 0) });
  return {
    start,
    most: { vcpus: Math.max(start.vcpus, most.vcpus), memoryMiB: start.memoryMiB + room },
    get now() {
      return now();
    },
    resize: (wanted, deadline) =>
      inTurn(MEMORY, async () => {
        try {
          const more = Math.max(0, wanted.memoryMiB - start.memoryMiB);
          await resizeMemory(Math.min(room, Math.ceil(more / MEMORY_STEP_MIB) * MEMORY_STEP_MIB), deadline);
          await cpus.raise(Math.min(wanted.vcpus, most.vcpus), deadline);
          return now();
        } catch (error) {
          throw wrapError(error, { operation: "resize", object: `VM ${vm}` });
        }
      }),
  };
}
