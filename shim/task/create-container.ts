import { readFileSync } from "node:fs";
import { join } from "node:path";
import { deadlineIn } from "../../sys/deadline.ts";
import { guestLines } from "../guest-bounds.ts";
import { readOciSpec } from "../sandbox/oci.ts";
import type { ContainerStorage } from "../sandbox/workload-storage.ts";
import { commandFailed, givenUp } from "./failures.ts";
import type { Obedience } from "./obedience.ts";
import type { TaskProcess } from "./process.ts";
import type { CreateRequest } from "./task.ts";
import type { Workload } from "./workload.ts";

/** A container that is in the guest. */
export interface GuestContainer {
  /** Takes it out, if the guest is still there, and gives back its storage. May be tried again. */
  remove(guestIsGone: boolean): Promise<void>;
}

/** How long the host's side of a container's storage may take to go. */
const RELEASE_MS = 10_000;

/**
 * Makes a container in the guest; its init process waits. Once the guest is asked, not cut short by anybody: it is told to remove
 * what it has made when the answer does not come in time, or is not wanted any more. When it rejects, nothing stays.
 */
export async function createInGuest(
  workload: Workload,
  request: CreateRequest,
  init: TaskProcess,
  obedience: Obedience,
  isWanted: () => boolean,
): Promise<GuestContainer> {
  const { id, bundle, guest, log, pids } = workload;
  const deadline = deadlineIn(guest.limits.createMs, `create container ${id}`);
  const spec = readOciSpec(bundle);
  const pidNamespaceOf = pids.join(id, spec.namespaces);
  let storage: ContainerStorage | undefined;
  let asked = false;
  const remove = async (guestIsGone: boolean): Promise<void> => {
    if (asked && !guestIsGone) {
      const removing = deadlineIn(guest.limits.createMs, `remove container ${id}`);
      await obedience.remove(guest.containers.removeContainer({ containerId: id }, removing));
    }
    guest.size.settle(id);
    await storage?.release(deadlineIn(RELEASE_MS, `give back the storage of container ${id}`));
  };
  try {
    const preparing = guest.storage.prepare(
      { containerId: id, bundle, rootfs: request.rootfs, spec },
      deadline,
    );
    const growing = guest.size.claim(id, spec.limits, deadline);
    const opening = init.open();
    opening.catch(() => undefined);
    // What one of them has got is given back below, whichever fails.
    await Promise.allSettled([preparing, growing]);
    storage = await preparing;
    await Promise.all([growing, opening]);
    // A containerd that was restarted waits for the end of this, not long, before it takes the container for lost.
    if (!isWanted()) throw givenUp(`container ${id}`);
    const { storages, rootfs, mountSources, deviceSources } = storage;
    asked = true;
    const { failure, ignored } = await guest.containers.createContainer(
      {
        containerId: id,
        spec: readFileSync(join(bundle, "config.json")),
        storages,
        rootfs,
        mountSources,
        deviceSources,
        stdio: init.setup,
        pidNamespaceOf,
      },
      deadline,
    );
    if (failure !== undefined) throw commandFailed(init.object, failure);
    for (const what of guestLines(ignored)) log.info("not honoured in the guest", { container: id, what });
    return { remove };
  } catch (error) {
    await remove(false).catch((failure: unknown) => {
      log.warn("a container that failed is not wholly removed; its pod's end does it", { error: failure });
    });
    await init.close();
    throw error;
  }
}
