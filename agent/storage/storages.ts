import { mkdirSync, rmdirSync } from "node:fs";
import { type Overlay, Storage, type StoragePath } from "../../proto/gen/tapir/agent/v1/container.ts";
import { checkBeneath, makeBeneath } from "../../sys/beneath.ts";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import { TapirError, wrapError } from "../../sys/error.ts";
import { MS, mount, mountWaiting, unmountWaiting } from "../../sys/mount.ts";
import { Code } from "../../sys/status.ts";
import { inParallel } from "../container/parallel.ts";
import { STORAGES } from "../container/paths.ts";
import { findDisk } from "./disk.ts";
import { letGoOf } from "./let-go.ts";
import { mountOptions } from "./mount-options.ts";
import { mountShare } from "./share.ts";
import { modeOf, tmpfsOptions } from "./tmpfs.ts";

/** The storages of the guest, each a mount that containers refer to by its id. */
export interface Storages {
  /** Makes it unless it is there already, the same. `user` is who asks: "" the host, else a container. */
  add(storage: Storage, user: string, deadline: Deadline): Promise<void>;
  /** Unmounts it; an unknown one is fine. Throws FAILED_PRECONDITION while somebody uses it. */
  remove(id: string, deadline: Deadline): Promise<void>;
  /** Where it is in the guest; `user` uses it from now on. Throws when it is not there or leads astray. */
  resolve(path: StoragePath, user: string, deadline: Deadline): Promise<string>;
  /** Ends all use by `user` and removes what it had added. */
  release(user: string, deadline: Deadline): Promise<void>;
}

const UNDO_MS = 10_000;
/** What may wait for a share's server, one at a time: a stalled one must not hold the threads that the agent hears with. */
const askServer = inParallel(1);

interface Entry {
  readonly definition: string;
  readonly owner: string;
  readonly users: Set<string>;
  /** Its owner is gone: it goes with its last user. */
  released: boolean;
  readonly made: Promise<void>;
  /** Mounted in this order. */
  readonly mounted: string[];
  /** Set for memory: missing folders of it are made, with its root's mode. */
  readonly folderMode: number | undefined;
  /** Set for a share: where in it its users look. */
  readonly uses: { readonly user: string; readonly path: string }[] | undefined;
}

export function createStorages(): Storages {
  const entries = new Map<string, Entry>();
  /** Being unmounted: a new one of that id waits. */
  const leaving = new Map<string, Promise<void>>();

  const get = (id: string): Entry => {
    const entry = entries.get(id);
    if (entry !== undefined) return entry;
    throw new TapirError({
      code: Code.NOT_FOUND,
      operation: "use",
      object: `storage ${id}`,
      cause: "there is none",
    });
  };
  const take = async (id: string, deadline: Deadline): Promise<void> => {
    const { mounted = [] } = entries.get(id) ?? {};
    entries.delete(id);
    const gone = unmountAll(mounted.toReversed());
    leaving.set(id, gone);
    try {
      await deadline.race(gone);
    } finally {
      leaving.delete(id);
    }
    for (const one of entries.values()) one.users.delete(overlayUser(id));
  };
  const resolve = async (
    { storageId, path }: StoragePath,
    user: string,
    deadline: Deadline,
  ): Promise<string> => {
    const entry = get(storageId);
    entry.users.add(user);
    await deadline.race(entry.made);
    const root = `${STORAGES}/${storageId}`;
    // A part of a volume in memory (subPath) that the host would have made on its own disk.
    const check = (): Promise<void> => checkBeneath(root, path);
    if (entry.uses !== undefined) await deadline.race(askServer(check, deadline));
    else if (entry.folderMode === undefined) await deadline.race(check());
    else await deadline.race(makeBeneath(root, path, entry.folderMode));
    if (path !== "") entry.uses?.push({ user, path: `${root}/${path}` });
    return path === "" ? root : `${root}/${path}`;
  };

  return {
    async add(storage, user, deadline) {
      await deadline.race(leaving.get(storage.id) ?? Promise.resolve());
      const definition = Buffer.from(Storage.encode(storage).finish()).toString("latin1");
      const there = entries.get(storage.id);
      if (there !== undefined) {
        if (there.definition !== definition) throw different(storage.id);
        there.users.add(user);
        await deadline.race(there.made);
        return;
      }
      const mounted: string[] = [];
      const made = make(storage, mounted, resolve, deadline);
      entries.set(storage.id, {
        definition,
        owner: user,
        users: new Set([user]),
        released: false,
        made,
        mounted,
        folderMode: storage.tmpfs === undefined ? undefined : modeOf(storage.tmpfs),
        uses: storage.virtioFs === undefined ? undefined : [],
      });
      try {
        await made;
      } catch (error) {
        await take(storage.id, deadlineIn(UNDO_MS, `remove storage ${storage.id}`));
        throw wrapError(error, { operation: "add", object: `storage ${storage.id}` });
      }
    },
    async remove(id, deadline) {
      const entry = entries.get(id);
      if (entry === undefined) return;
      const users = [...entry.users].filter((user) => user !== "");
      if (users.length > 0) throw inUse(id, users);
      await take(id, deadline);
    },
    resolve,
    async release(user, deadline) {
      for (const entry of entries.values()) {
        entry.users.delete(user);
        if (entry.owner === user) entry.released = true;
        if (entry.uses !== undefined) await letGoOf(takeUses(entry.uses, user));
      }
      // An overlay that goes frees what it lies over.
      const isFree = ([, { released, users }]: [string, Entry]): boolean => released && users.size === 0;
      for (;;) {
        const [id] = [...entries].find(isFree) ?? [];
        if (id === undefined) return;
        await take(id, deadline);
      }
    },
  };
}

/** The paths that only `user` looked at; it does no more. */
function takeUses(uses: { readonly user: string; readonly path: string }[], user: string): string[] {
  const own = uses.filter((use) => use.user === user);
  uses.splice(0, uses.length, ...uses.filter((use) => use.user !== user));
  return own.map(({ path }) => path).filter((path) => !uses.some((use) => use.path === path));
}

async function make(
  { id, virtioFs, blockDevice, tmpfs, overlay }: Storage,
  mounted: string[],
  resolve: Storages["resolve"],
  deadline: Deadline,
): Promise<void> {
  const target = makeTarget(id, mounted);
  if (virtioFs !== undefined) await mountShare(virtioFs, target, deadline);
  else if (tmpfs !== undefined)
    mount({ source: "tmpfs", target, type: "tmpfs", flags: MS.NODEV, data: tmpfsOptions(tmpfs).join(",") });
  else if (blockDevice !== undefined) {
    const disk = await findDisk(blockDevice.serial, deadline);
    const options = mountOptions(blockDevice.options);
    const request = { source: disk.path, target, type: blockDevice.fileSystem, ...options };
    await deadline.race(mountWaiting(request));
  } else if (overlay !== undefined) await mountOverlay(id, overlay, target, mounted, resolve, deadline);
}

async function mountOverlay(
  id: string,
  { lower, upper, memoryBytes }: Overlay,
  target: string,
  mounted: string[],
  resolve: Storages["resolve"],
  deadline: Deadline,
): Promise<void> {
  const user = overlayUser(id);
  const lowers: string[] = [];
  for (const path of lower) lowers.push(await resolve(path, user, deadline));
  let changes: string;
  if (upper === undefined) {
    // Below the overlay's own mount point, so before it.
    changes = makeTarget(`${id}:changes`, mounted);
    mounted.reverse();
    const data = tmpfsOptions({ sizeBytes: memoryBytes, mode: 0o755, uid: 0, gid: 0 }).join(",");
    mount({ source: "tmpfs", target: changes, type: "tmpfs", data });
  } else changes = await resolve(upper, user, deadline);
  for (const folder of ["upper", "work"]) mkdirSync(`${changes}/${folder}`, { recursive: true });
  const data = `lowerdir=${lowers.join(":")},upperdir=${changes}/upper,workdir=${changes}/work`;
  const request = { source: "overlay", target, type: "overlay", data };
  await deadline.race(askServer(() => mountWaiting(request), deadline));
}

async function unmountAll(targets: readonly string[]): Promise<void> {
  for (const target of targets) {
    await unmountWaiting(target);
    rmdirSync(target);
  }
}

function makeTarget(name: string, mounted: string[]): string {
  const target = `${STORAGES}/${name}`;
  mkdirSync(target, { recursive: true });
  mounted.push(target);
  return target;
}

/** No id has a colon. */
function overlayUser(id: string): string {
  return `overlay:${id}`;
}

function different(id: string): TapirError {
  const cause = "there is another one of that id";
  return new TapirError({ code: Code.ALREADY_EXISTS, operation: "add", object: `storage ${id}`, cause });
}

function inUse(id: string, users: readonly string[]): TapirError {
  const cause = `${users.join(", ")} still uses it`;
  return new TapirError({
    code: Code.FAILED_PRECONDITION,
    operation: "remove",
    object: `storage ${id}`,
    cause,
  });
}
