import { statfsSync } from "node:fs";
import { type MountInfo, readMounts } from "./mountinfo.ts";
import type { Things } from "./things.ts";

/** Every mount; several on one target count. */
export function listMounts(mark: string | undefined): Things {
  const things: Record<string, string> = {};
  for (const { target, type, source, root } of readMounts().filter(carrying(mark))) {
    let key = target;
    for (let layer = 2; key in things; layer++) key = `${target} [layer ${layer}]`;
    // A namespace file has no source worth naming; what is mounted tells more.
    things[key] = type === "nsfs" ? root : `${type} ${source}`;
  }
  return things;
}

/** Bytes in use on every tmpfs: memory that nobody's process list shows. */
export function listTmpfs(mark: string | undefined): Things {
  const things: Record<string, string> = {};
  for (const { target } of readMounts()
    .filter(({ type }) => type === "tmpfs")
    .filter(carrying(mark))) {
    const { bsize, blocks, bfree } = statfsSync(target);
    things[target] = `${(blocks - bfree) * bsize} bytes`;
  }
  return things;
}

const carrying =
  (mark: string | undefined) =>
  ({ target, source }: MountInfo): boolean =>
    mark === undefined || target.includes(mark) || source.includes(mark);
