import { closeSync } from "node:fs";
import { dirname } from "node:path";
import { wrapError } from "../../sys/error.ts";
import { MS, mount } from "../../sys/mount.ts";
import { parseMountOptions } from "../../sys/mount-options.ts";
import { cloneTree, moveTree, setAttributes } from "../../sys/mount-tree.ts";
import type { RootfsMount } from "../sandbox/workload-storage.ts";
import { isBind } from "./rootfs-plan.ts";

/** mount(2) copies one page of options, its final zero included. */
const MAX_DATA_BYTES = 4095;

/** Mounts file systems over each other on `target`. When one fails, those before it stay: the ledger has the target. */
export async function mountRootfs(mounts: readonly RootfsMount[], target: string): Promise<void> {
  for (const one of mounts) {
    try {
      if (isBind(one)) await bindRootfs(one, target);
      else mountOne(one, target);
    } catch (error) {
      throw wrapError(error, { operation: "mount", object: `${one.type} on ${target}` });
    }
  }
}

async function bindRootfs({ source, options }: RootfsMount, target: string): Promise<void> {
  const tree = await cloneTree(source, { recursive: options.includes("rbind") });
  try {
    setAttributes(tree, {
      set: ["noSetuid", "noDevices", "noExec"],
      propagation: "private",
      recursive: true,
    });
    if (options.includes("ro")) setAttributes(tree, { set: ["readOnly"], recursive: false });
    moveTree(tree, target);
  } finally {
    closeSync(tree);
  }
}

function mountOne({ type, source, options }: RootfsMount, target: string): void {
  const parsed = parseMountOptions(options);
  const flags = parsed.flags | MS.NOSUID | MS.NODEV | MS.NOEXEC;
  const data = parsed.data.join(",");
  if (Buffer.byteLength(data) <= MAX_DATA_BYTES) {
    mount({ type, source, target, flags, data });
    return;
  }
  const { folder, options: shorter } = shortenLayers(parsed.data);
  // Synchronous: nothing else of this process runs in that folder.
  const before = process.cwd();
  process.chdir(folder);
  try {
    mount({ type, source, target, flags, data: shorter.join(",") });
  } finally {
    process.chdir(before);
  }
}

/**
 * An image of many layers has more options than mount(2) takes: their folders are told relative to the one they have in
 * common, in which the caller has to be.
 */
export function shortenLayers(options: readonly string[]): { folder: string; options: string[] } {
  const [, layers = ""] = options.find((option) => option.startsWith("lowerdir="))?.split("lowerdir=") ?? [];
  let folder = dirname(layers.split(":")[0] ?? "/");
  while (folder !== "/" && !layers.split(":").every((layer) => layer.startsWith(`${folder}/`))) {
    folder = dirname(folder);
  }
  const prefix = folder === "/" ? "/" : `${folder}/`;
  const relative = layers
    .split(":")
    .map((layer) => (layer.startsWith(prefix) ? layer.slice(prefix.length) : layer));
  return {
    folder,
    options: options.map((option) =>
      option.startsWith("lowerdir=") ? `lowerdir=${relative.join(":")}` : option,
    ),
  };
}
