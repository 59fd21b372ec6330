import type { ShareCache, VmShare, VmStorage } from "../../hypervisor/storage.ts";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import type { Ledger } from "../../sys/ledger.ts";
import type { GuestContainers } from "../containers-client.ts";
import type { Timeline } from "../state/timeline.ts";
import type { ServerView, ShareFolder } from "./share-folder.ts";

/** Mount tag, QEMU id, and name of the storage in the guest. */
export const SHARE = "shared";

/** A guest that does not let go by then never will. */
const DETACH_MS = 3_000;

export interface PodShare {
  readonly folder: ShareFolder;
  readonly server: VmShare;
  readonly view: ServerView;
}

export interface PodShareRequest {
  readonly storage: VmStorage;
  readonly folder: ShareFolder;
  readonly containers: GuestContainers;
  readonly ledger: Ledger;
  /** The virtiofsd binary; "" for the installed one. */
  readonly server: string;
  readonly cache: ShareCache;
  /** Notes how long a part took: a container waits for it. */
  readonly measure: Timeline["measure"];
}

/**
 * The pod's share, from an empty folder of the host to a mount in the guest. What it acquires is in the ledger; when it
 * rejects, nothing stays but the folder, and it may be tried again.
 */
export async function openPodShare(request: PodShareRequest, deadline: Deadline): Promise<PodShare> {
  const { storage, folder, containers, ledger, cache, measure } = request;
  const { directory } = folder;
  const share = { id: SHARE, tag: SHARE, directory, server: request.server, cache };
  const server = await measure("plug share", () => storage.attachShare(share, ledger, deadline));
  // What is read-only is so on the host; here it would hold for everything mounted below.
  const virtioFs = { tag: SHARE, readOnly: false };
  try {
    await measure("mount share", () => containers.addStorage({ storage: { id: SHARE, virtioFs } }, deadline));
  } catch (error) {
    await server.detach(deadlineIn(DETACH_MS, "take back a share")).catch(() => undefined);
    throw error;
  }
  // The guest has its answers: by now the folder is the server's root.
  return { folder, server, view: { pid: server.pid, root: "/" } };
}
