import { closeSync, existsSync, fstatSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { TapirError, wrapError } from "../../sys/error.ts";
import type { Acquired, Ledger } from "../../sys/ledger.ts";
import { cloneTree, moveTree, setAttributes } from "../../sys/mount-tree.ts";
import { Code } from "../../sys/status.ts";
import type { RootfsMount } from "../sandbox/workload-storage.ts";
import type { SharedSource } from "./mount-plan.ts";
import { mountRootfs } from "./mount-rootfs.ts";

/**
 * The folder of the host that the pod's guest sees. Nothing is in it but mount points, made by way of `points`: the guest's
 * view is read-only, so that the guest can put no symbolic link where something will be mounted. What is mounted here
 * later reaches the server's namespace because the folder is a shared mount; nothing goes from there to the host.
 */
export interface ShareFolder {
  /** What the server serves. */
  readonly directory: string;
  /** A container's part of it. `release` ends all that was made in it. */
  open(containerId: string): Promise<ContainerFolder>;
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
    for (const path of [points, directory]) mkdirSync(path, { mode: 0o755 });
    await mountClone(points, directory, (tree) =>
      setAttributes(tree, { set: ["readOnly", ...CONFINED], propagation: "shared", recursive: false }),
    );
  });
  return {
    directory,
    open: (containerId) => openContainer(ledger, { points, directory }, containerId),
  };
}

async function openContainer(
  ledger: Ledger,
  share: { readonly points: string; readonly directory: string },
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
  const onPoint = async (name: string, act: (target: string) => void | Promise<void>): Promise<string> => {
    // Undoing what failed would undo what is there.
    if (names.has(name)) throw refusal(Code.ALREADY_EXISTS, `${id}/${name}`, "it is there already");
    const target = join(share.directory, id, name);
    held.push(await ledger.acquire("storage.mount", { kind: "mount", target }, () => act(target)));
    names.add(name);
    return `${id}/${name}`;
  };
  return {
    bind: (name, source) =>
      onPoint(name, (target) =>
        mountClone(
          source.source,
          target,
          (tree) => {
            makePoint(tree, join(points, name), source.source);
            confine(tree, source);
          },
          source.recursive,
        ),
      ),
    mount: (name, mounts) =>
      onPoint(name, async (target) => {
        mkdirSync(join(points, name));
        await mountRootfs(mounts, target);
      }),
    async release() {
      for (let last = held.at(-1); last !== undefined; last = held.at(-1)) {
        await last.release();
        held.pop();
      }
    },
  };
}

async function mountClone(
  source: string,
  target: string,
  prepare: (tree: number) => void,
  recursive = false,
): Promise<void> {
  const tree = await cloneTree(source, { recursive });
  try {
    prepare(tree);
    moveTree(tree, target);
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
