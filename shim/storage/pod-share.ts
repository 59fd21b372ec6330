import type { ShareCache, VmShare, VmStorage } from "../../hypervisor/storage.ts";
import type { Deadline } from "../../sys/deadline.ts";
import type { Ledger } from "../../sys/ledger.ts";
import type { GuestContainers } from "../containers-client.ts";
import { openShareFolder, type ServerView, type ShareFolder } from "./share-folder.ts";

/** Mount tag, QEMU id, and name of the storage in the guest. */
export const SHARE = "shared";

export interface PodShare {
  readonly folder: ShareFolder;
  readonly server: VmShare;
  readonly view: ServerView;
}

export interface PodShareRequest {
  readonly storage: VmStorage;
  readonly containers: GuestContainers;
  readonly ledger: Ledger;
  /** The virtiofsd binary; "" for the installed one. */
  readonly server: string;
  readonly cache: ShareCache;
}

/** The pod's share, from an empty folder of the host to a mount in the guest. What it acquires is in the ledger. */
export async function openPodShare(request: PodShareRequest, deadline: Deadline): Promise<PodShare> {
  const { storage, containers, ledger, cache } = request;
  const folder = await openShareFolder(ledger);
  const { directory } = folder;
  const share = { id: SHARE, tag: SHARE, directory, server: request.server, cache };
  const server = await storage.attachShare(share, ledger, deadline);
  // What is read-only is so on the host; here it would hold for everything mounted below.
  const virtioFs = { tag: SHARE, readOnly: false };
  await containers.addStorage({ storage: { id: SHARE, virtioFs } }, deadline);
  // The guest has its answers: by now the folder is the server's root.
  return { folder, server, view: { pid: server.pid, root: "/" } };
}
