import { closeSync } from "node:fs";
import type { Deadline } from "../../sys/deadline.ts";
import { codeOf, TapirError, wrapError } from "../../sys/error.ts";
import type { Ledger } from "../../sys/ledger.ts";
import { Code } from "../../sys/status.ts";
import type { ShareSpec, VmShare, VmStorage } from "../storage.ts";
import { type ShareServer, startVirtiofsd } from "../virtiofsd/virtiofsd.ts";
import { createDiskKind } from "./disk-kind.ts";
import { createHotplug, type Hotplug, type HotplugContext } from "./hotplug.ts";
import { settledWithin } from "./settled-within.ts";
import { shareKind, type VhostUserShare } from "./share-kind.ts";

export interface StorageContext extends HotplugContext {
  /** The sandbox's own, 0700. */
  readonly directory: string;
  readonly sharedMemory: boolean;
  /** That the servers join. */
  readonly cgroups: readonly string[] | undefined;
}

/** A server ends as soon as QEMU hangs up. */
const SERVER_END_MS = 500;

export function createStorage(context: StorageContext): VmStorage {
  const shares = createHotplug(context, shareKind);
  const disks = createHotplug(context, createDiskKind());
  /** Shares that could not be plugged: QEMU may have done it after all, once nobody waited any more. */
  const doubtful = new Set<string>();
  return {
    async attachShare(share, ledger, deadline) {
      const { id } = share;
      if (doubtful.has(id)) await shares.detach(id, deadline);
      doubtful.delete(id);
      try {
        return await attachShare(context, shares, share, ledger, deadline);
      } catch (error) {
        if (codeOf(error) !== Code.ALREADY_EXISTS) doubtful.add(id);
        throw error;
      }
    },
    attachDisk: disks.attach,
    detachDisk: disks.detach,
  };
}

async function attachShare(
  { vm, directory, sharedMemory, cgroups }: StorageContext,
  shares: Hotplug<VhostUserShare>,
  share: ShareSpec,
  ledger: Ledger,
  deadline: Deadline,
): Promise<VmShare> {
  if (!sharedMemory) throw privateMemory(vm, share);
  const { id, tag } = share;
  const server = await startVirtiofsd(share, { directory, cgroups }, ledger);
  try {
    await shares.attach({ id, tag, socketFd: server.socketFd }, deadline);
    await server.joinAll();
  } catch (error) {
    throw await explained(error, server, share);
  } finally {
    closeSync(server.socketFd);
  }
  return {
    pid: server.pid,
    ended: server.ended,
    async detach(detachDeadline) {
      await shares.detach(id, detachDeadline);
      await settledWithin(server.ended, SERVER_END_MS);
      await server.release();
    },
  };
}

/** A server that gave up says more than QEMU, which only saw it hang up. */
async function explained(error: unknown, server: ShareServer, { id }: ShareSpec): Promise<unknown> {
  const gaveUp = await settledWithin(server.ended, SERVER_END_MS);
  const cause = gaveUp ? await server.ended : undefined;
  await server.release();
  return cause === undefined
    ? error
    : wrapError(cause, { code: Code.FAILED_PRECONDITION, operation: "serve", object: `share ${id}` });
}

function privateMemory(vm: string, { id }: ShareSpec): TapirError {
  return new TapirError({
    code: Code.FAILED_PRECONDITION,
    operation: "plug",
    object: `share ${id} of VM ${vm}`,
    cause: "the guest's memory is private to QEMU, a server of shared folders needs access to it",
    hint: 'set factory.memory = "copy"',
  });
}
