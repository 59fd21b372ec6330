import { setTimeout as pause } from "node:timers/promises";
import { deadlineIn } from "../../sys/deadline.ts";
import { codeOf } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import { asking, type Workload } from "./workload.ts";

/** A guest that cannot be reached any more is just ending; its end is heard of at once, on a busy machine soon. */
const GOING_MS = 5_000;
/** Retries of containerd follow at once; what is busy has time to become free between them. */
const REFUSALS = 3;

/**
 * What a guest has to do, or its pod ends: containerd removes a pod only when all its containers have ended and are removed.
 * A guest that hangs or lies would keep its pod, and what that has, for ever.
 */
export interface Obedience {
  /** `killing` tells the guest to kill the container: it has to answer, and `end` has to come. */
  kill(killing: Promise<void>, end: Promise<unknown>): Promise<void>;
  /** The guest has to answer, and may refuse now and then. It may take its time, as long as it answers other questions. */
  remove(removing: Promise<unknown>): Promise<void>;
}

/** Whether the VM is just ending, or the way to it has been closed behind it. */
const isGone = (error: unknown): boolean =>
  codeOf(error) === Code.UNAVAILABLE || codeOf(error) === Code.CANCELLED;

/** Waits until the guest has heard of a signal, or has taken the process with it: then there is `end`, and nobody to tell. */
export async function heardOrGone(signalling: Promise<void>, end: Promise<unknown>): Promise<void> {
  try {
    await signalling;
  } catch (error) {
    if (!isGone(error)) throw error;
    using going = deadlineIn(GOING_MS, "see the guest go");
    await going.race(end).catch(() => Promise.reject(error));
  }
}

export function openObedience(workload: Workload): Obedience {
  const { id, guest, log, endPod } = workload;
  let refusals = 0;
  const end = async (cause: string, error?: unknown): Promise<void> => {
    log.error("the pod ends, because its guest does not do what it is told", { container: id, cause, error });
    await endPod();
  };
  /** Rejects once the guest answers nothing any more: what takes long has time, and a guest that hangs would keep its pod as long. */
  const standsStill = async (over: AbortSignal): Promise<void> => {
    for (;;) {
      await pause(guest.limits.requestMs, undefined, { signal: over });
      const asked = guest.containers.statsContainer({ containerId: id }, asking(workload, "hear of"));
      await asked.catch((error: unknown) => {
        if (codeOf(error) === Code.DEADLINE_EXCEEDED) throw error;
      });
    }
  };
  const seen = async (coming: Promise<unknown>): Promise<void> => {
    const over = new AbortController();
    const late = pause(guest.limits.createMs, true, { signal: over.signal });
    const ended = coming.then(
      () => false,
      () => false,
    );
    const mute = standsStill(over.signal).then(
      () => true,
      () => true,
    );
    if (await Promise.race([late, ended, mute])) await end("it does not tell of a container's end");
    over.abort();
    await late.catch(() => undefined);
  };
  return {
    async kill(killing, coming) {
      try {
        await killing;
      } catch (error) {
        if (codeOf(error) !== Code.DEADLINE_EXCEEDED) throw error;
        return end("it does not answer when a container is killed", error);
      }
      void seen(coming);
    },
    async remove(removing) {
      const over = new AbortController();
      try {
        await Promise.race([removing, standsStill(over.signal)]);
      } catch (error) {
        // The container went with it.
        if (isGone(error)) return;
        refusals += 1;
        if (codeOf(error) !== Code.DEADLINE_EXCEEDED && refusals < REFUSALS) throw error;
        await end("it does not remove a container", error);
      } finally {
        over.abort();
      }
    },
  };
}
