import type { VmSize, VmSizing } from "../../hypervisor/size.ts";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import { wrapError } from "../../sys/error.ts";
import type { GuestContainers } from "../containers-client.ts";
import type { Log } from "../log.ts";
import { type ContainerLimits, NO_LIMITS } from "./container-limits.ts";
import { wantedSize } from "./wanted-size.ts";

/** Gives a pod's VM what its containers may use. */
export interface PodSize {
  /** The limits of a container; none for one that is not there. */
  limitsOf(containerId: string): ContainerLimits;
  /**
   * Sets a container's limits; resolves when the guest uses what they allow, as far as the VM may grow. When it rejects, they
   * are set all the same: `settle` them.
   */
  claim(containerId: string, limits: ContainerLimits, deadline: Deadline): Promise<void>;
  /**
   * Sets the limits of a container that has some, or forgets it; what nobody needs any more is taken back when nothing came for
   * a while.
   */
  settle(containerId: string, limits?: ContainerLimits): void;
  /** Nothing is taken back any more. */
  close(): void;
}

export interface PodSizeParts {
  readonly sizing: VmSizing;
  readonly containers: GuestContainers;
  readonly log: Log;
  /** For taking back. */
  readonly shrinkMs: number;
  /** How long nothing must come before; a container that starts again gets what it had. */
  readonly quietMs?: number;
}

const QUIET_MS = 3_000;
const MIB = 1n << 20n;

export function createPodSize(parts: PodSizeParts): PodSize {
  const { sizing, containers, log, shrinkMs, quietMs = QUIET_MS } = parts;
  const { start, most } = sizing;
  const claims = new Map<string, ContainerLimits>();
  let inUse: VmSize = start;
  /** What the guest's kernel counts of `start`, in whole blocks. */
  let memoryAtStart: bigint | undefined;
  let quiet: NodeJS.Timeout | undefined;
  let closed = false;
  let last: Promise<unknown> = Promise.resolve();

  const wanted = (): VmSize => smaller(wantedSize(start, claims.values()), most);
  const become = async (size: VmSize, deadline: Deadline): Promise<void> => {
    if (equal(size, inUse)) return;
    memoryAtStart ??= (await containers.onlineResources(none(start.vcpus), deadline)).memoryBytes;
    const { memoryMiB } = await sizing.resize(size, deadline);
    const memoryBytes = memoryAtStart + BigInt(memoryMiB - start.memoryMiB) * MIB;
    // Memory that is taken back goes when the guest can: there may be more of it for a while.
    await containers.onlineResources({ vcpus: size.vcpus, memoryBytes, atMostVcpus: size.vcpus }, deadline);
    inUse = size;
  };
  /** One after the other: each looks at all that is claimed then. */
  const inTurn = (size: () => VmSize, deadline: Deadline): Promise<void> => {
    const before = last;
    const mine = before.then(() => become(size(), deadline));
    last = mine.catch(() => undefined);
    return mine;
  };
  const shrink = (): void => {
    inTurn(wanted, deadlineIn(shrinkMs, "take back what nobody needs")).catch((error: unknown) => {
      if (!closed) log.warn("the VM stays larger than its containers need", { error });
    });
  };
  const shrinkLater = (): void => {
    clearTimeout(quiet);
    if (closed || equal(wanted(), inUse)) return;
    quiet = setTimeout(shrink, quietMs).unref();
  };
  return {
    limitsOf: (containerId) => claims.get(containerId) ?? NO_LIMITS,
    async claim(containerId, limits, deadline) {
      claims.set(containerId, limits);
      const { memoryMiB } = wantedSize(start, claims.values());
      if (memoryMiB > most.memoryMiB) {
        log.warn("containers may use more memory than their VM can have", {
          memoryMiB,
          most: most.memoryMiB,
        });
      }
      try {
        await inTurn(() => larger(wanted(), inUse), deadline);
      } catch (error) {
        throw wrapError(error, { operation: "make room for", object: `container ${containerId}` });
      }
    },
    settle(containerId, limits) {
      if (limits === undefined) claims.delete(containerId);
      // It may have gone while the guest was asked.
      else if (claims.has(containerId)) claims.set(containerId, limits);
      shrinkLater();
    },
    close() {
      closed = true;
      clearTimeout(quiet);
    },
  };
}

function none(atMostVcpus: number) {
  return { vcpus: 0, memoryBytes: 0n, atMostVcpus };
}

function equal(a: VmSize, b: VmSize): boolean {
  return a.vcpus === b.vcpus && a.memoryMiB === b.memoryMiB;
}

function larger(a: VmSize, b: VmSize): VmSize {
  return { vcpus: Math.max(a.vcpus, b.vcpus), memoryMiB: Math.max(a.memoryMiB, b.memoryMiB) };
}

function smaller(a: VmSize, b: VmSize): VmSize {
  return { vcpus: Math.min(a.vcpus, b.vcpus), memoryMiB: Math.min(a.memoryMiB, b.memoryMiB) };
}
