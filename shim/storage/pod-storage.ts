import { setTimeout } from "node:timers/promises";
import type { Vm } from "../../hypervisor/hypervisor.ts";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import { TapirError } from "../../sys/error.ts";
import { failpoint } from "../../sys/failpoint.ts";
import { Code } from "../../sys/status.ts";
import type { Log } from "../log.ts";
import type { WorkloadStorage } from "../sandbox/workload-storage.ts";
import { prepareContainer } from "./container-storage.ts";
import { createDisks } from "./disks.ts";
import { openPodShare, type PodShare, type PodShareRequest } from "./pod-share.ts";
import { openShareFolder, type ShareFolder } from "./share-folder.ts";

/** What the containers of one pod see of the host. */
export interface PodStorage extends WorkloadStorage {
  /** From now on the share comes by itself, when nobody needs the processor for something else. Once, after the pod's start. */
  begin(): void;
  /** Resolves when the containers have lost their files, with the reason; never after `close`. */
  readonly lost: Promise<string>;
  /**
   * Resolves when nothing is going on any more that could acquire something; what is asked for later is refused. Before the
   * ledger is unwound; quick once the VM is gone.
   */
  close(): Promise<void>;
}

export interface PodStorageRequest extends Omit<PodShareRequest, "storage" | "folder"> {
  readonly vm: Vm;
  /** Milliseconds for the share to be there. */
  readonly shareMs: number;
  /** Resolves when the pods that start now have started. */
  startsAreOver(deadline: Deadline): Promise<void>;
  readonly log: Pick<Log, "debug">;
}

/** A container that follows at once asks for the share itself; before one whose image is still to come it has time. */
const BACKGROUND_MS = 1_000;

export function createPodStorage(request: PodStorageRequest): PodStorage {
  const { vm, containers, ledger, shareMs, log } = request;
  const disks = createDisks(vm.storage);
  const busy = new Set<Promise<unknown>>();
  const lost = Promise.withResolvers<string>();
  let folder: ShareFolder | undefined;
  let opening: Promise<PodShare> | undefined;
  const closing = new AbortController();
  let vmIsGone = false;
  void vm.exited.then(() => {
    vmIsGone = true;
  });

  const during = <T>(work: Promise<T>): Promise<T> => {
    const settled = work.then(
      () => undefined,
      () => undefined,
    );
    busy.add(settled);
    void settled.then(() => busy.delete(settled));
    return work;
  };
  const share = (): Promise<PodShare> => {
    if (opening !== undefined) return opening;
    const mine = during(open());
    opening = mine;
    // The next container tries again: virtiofsd may be installed, or a port free, by then.
    mine.catch(() => {
      opening = undefined;
    });
    return mine;
  };
  const open = async (): Promise<PodShare> => {
    folder ??= await openShareFolder(ledger);
    const opened = await openPodShare(
      { ...request, storage: vm.storage, containers, folder },
      deadlineIn(shareMs, "share folders with the guest"),
    );
    void opened.server.ended.then((reason) => {
      if (!closing.signal.aborted && !vmIsGone) lost.resolve(reason);
    });
    return opened;
  };
  // A guest that is plugged something in works for as long as it needed to become the pod's: whoever starts goes first.
  const openInBackground = async (): Promise<void> => {
    const { signal } = closing;
    await setTimeout(BACKGROUND_MS, undefined, { signal });
    await request.startsAreOver(deadlineIn(shareMs, "wait for pods that start", signal));
    await failpoint("storage.background");
    signal.throwIfAborted();
    await share();
  };
  return {
    lost: lost.promise,
    begin() {
      openInBackground().catch((error: unknown) => {
        // The first container tries again, and says why when it fails as well.
        if (!closing.signal.aborted) log.debug("no share in the background", { error });
      });
    },
    async prepare(wanted, deadline) {
      if (closing.signal.aborted) throw podIsClosing(wanted.containerId);
      const context = { share: share(), containers, disks, vmIsGone: () => vmIsGone };
      return during(prepareContainer(context, wanted, deadline));
    },
    async close() {
      closing.abort();
      await Promise.all(busy);
    },
  };
}

function podIsClosing(containerId: string): TapirError {
  return new TapirError({
    code: Code.FAILED_PRECONDITION,
    operation: "share files with",
    object: `container ${containerId}`,
    cause: "its pod is being stopped",
  });
}
