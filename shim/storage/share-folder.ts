import { closeSync, existsSync, fstatSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { TapirError, wrapError } from "../../sys/error.ts";
import type { Acquired, Act, Ledger } from "../../sys/ledger.ts";
import { unmount } from "../../sys/mount.ts";
import { inMountNamespace } from "../../sys/mount-namespace.ts";
import { cloneTree, moveTree, setAttributes } from "../../sys/mount-tree.ts";
import { Code } from "../../sys/status.ts";
import type { Undo } from "../../sys/undo/entry.ts";
import type { RootfsMount } from "../sandbox/workload-storage.ts";
import type { SharedSource } from "./mount-plan.ts";
import { mountRootfs } from "./mount-rootfs.ts";

/**
 * The folder of the host that the pod's guest sees. Nothing is in it but mount points, made by way of `points`: the guest's
 * view is read-only, so that the guest can put no symbolic link where something will be mounted.
 *
 * What a container gets of the host's folders is mounted where the server alone sees it. On the host it would hold the
 * places where the host has mounted something below (rmdir would say EBUSY), and lengthen everybody's list of mounts. Root
 * file systems that the host puts together are mounted here and reach the server, because the folder is a shared mount;
 * nothing goes from there to the host.
 */
export interface ShareFolder {
  /** What the server serves. */
  readonly directory: string;
  /** A container's part of it, for which the server has to run. `release` ends all that was made in it. */
  open(containerId: string, server: ServerView): Promise<ContainerFolder>;
}

/** How the server sees the folder. */
export interface ServerView {
  /** A process in its mount namespace, which ends with it. */
  readonly pid: number;
  /** Path of the folder there. */
  readonly root: string;
}

export interface ContainerFolder {
  /** Shows a folder or file of the host as `name`; returns its path in the share. */
  bind(name: string, source: SharedSource): Promise<string>;
  /** Mounts file systems over each other as `name`; returns its path in the share. */
  mount(name: string, mounts: readonly RootfsMount[]): Promise<string>;
  release(): Promise<void>;
}

/** Nothing on the host needs to run programs, or to open devices, that a guest may have put there. */
const CONFINED = ["noSetuid", "noDevices", "noExec"] as const;

export async function openShareFolder(ledger: Ledger): Promise<ShareFolder> {
  const points = join(ledger.directory, "points");
  const directory = join(ledger.directory, "shared");
  await ledger.acquire("storage.share", { kind: "mount", target: directory }, async () => {
    for (const path of [points, directory]) mkdirSync(path, { mode: 0o755, recursive: true });
    await withClone({ source: points, recursive: false }, (tree) => {
      setAttributes(tree, { set: ["readOnly", ...CONFINED], propagation: "shared", recursive: false });
      moveTree(tree, directory);
    });
  });
  return {
    directory,
    open: (containerId, server) => openContainer(ledger, { points, directory, server }, containerId),
  };
}

async function openContainer(
  ledger: Ledger,
  share: { readonly points: string; readonly directory: string; readonly server: ServerView },
  id: string,
): Promise<ContainerFolder> {
  if (!/^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(id)) {
    const cause = 'an id is made of letters, digits, "_", "." and "-"';
    throw refusal(Code.INVALID_ARGUMENT, `container ${JSON.stringify(id)}`, cause);
  }
  const points = join(share.points, id);
  if (existsSync(points)) throw refusal(Code.ALREADY_EXISTS, `container ${id}`, "it has a folder already");
  const folder = await ledger.acquire("storage.folder", { kind: "directory", path: points }, () => {
    mkdirSync(points, { mode: 0o755 });
  });
  const held: Acquired<unknown>[] = [folder];
  const names = new Set<string>();
  const onPoint = async (name: string, entry: Undo, act: Act<void>): Promise<string> => {
    // Undoing what failed would undo what is there.
    if (names.has(name)) throw refusal(Code.ALREADY_EXISTS, `${id}/${name}`, "it is there already");
    held.push(await ledger.acquire("storage.mount", entry, act));
    names.add(name);
    return `${id}/${name}`;
  };
  return {
    bind: (name, source) =>
      // It is the server's mount and goes with it.
      onPoint(name, { kind: "descriptors" }, async ({ onRelease }) => {
        const { pid, root } = share.server;
        const target = join(root, id, name);
        onRelease(async () => inMountNamespace(pid, () => unmount(target)));
        await withClone(source, (tree) => {
          checkIdentity(tree, source);
          makePoint(tree, join(points, name), source.source);
          confine(tree, source);
          inMountNamespace(pid, () => moveTree(tree, target));
        });
      }),
    mount(name, mounts) {
      const target = join(share.directory, id, name);
      return onPoint(name, { kind: "mount", target }, async () => {
        mkdirSync(join(points, name));
        await mountRootfs(mounts, target);
      });
    },
    async release() {
      for (let last = held.at(-1); last !== undefined; last = held.at(-1)) {
        await last.release();
        held.pop();
      }
    },
  };
}

async function withClone(
  { source, recursive }: Pick<SharedSource, "source" | "recursive">,
  use: (tree: number) => void,
): Promise<void> {
  const tree = await cloneTree(source, { recursive });
  try {
    use(tree);
  } catch (error) {
    throw wrapError(error, { operation: "share", object: source });
  } finally {
    closeSync(tree);
  }
}

function confine(tree: number, { readOnly, propagation }: SharedSource): void {
  setAttributes(tree, { set: CONFINED, propagation, recursive: true });
  if (readOnly !== "no") setAttributes(tree, { set: ["readOnly"], recursive: readOnly === "all" });
}

/** A pod's own hands may reach into the folder that holds the source, and swap it for a link to somewhere else. */
function checkIdentity(tree: number, { source, identity }: SharedSource): void {
  if (identity === undefined) return;
  const { dev, ino } = fstatSync(tree, { bigint: true });
  if (dev === identity.device && ino === identity.inode) return;
  throw refusal(Code.ABORTED, source, "it was replaced by something else while it was being mounted");
}

/** Of the kind of what will be there; what that is, only the open tree can say for sure. */
function makePoint(tree: number, path: string, source: string): void {
  const stat = fstatSync(tree);
  if (stat.isDirectory()) mkdirSync(path);
  else if (stat.isFile()) closeSync(openSync(path, "wx"));
  else {
    throw refusal(Code.FAILED_PRECONDITION, source, "it is neither a folder nor a file any more");
  }
}

function refusal(code: Code, object: string, cause: string): TapirError {
  return new TapirError({ code, operation: "share", object, cause });
}
