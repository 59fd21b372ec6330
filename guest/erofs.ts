import { statSync, truncateSync } from "node:fs";
import { runTool } from "./tool.ts";

/** virtio-pmem maps the image in huge pages: its size has to be a multiple of one. */
const PMEM_ALIGNMENT = 2 << 20;

/**
 * Makes the root image from `tree`. Uncompressed and without inlined file tails, so that every page of every file
 * can be mapped straight from the host (DAX); owner, times, order and identity fixed, so that the same tree gives the same bytes.
 */
export async function buildErofs(tree: string, image: string, uuid: string): Promise<void> {
  await runTool("mkfs.erofs", [
    "-Enoinline_data",
    "-T0",
    "-x-1",
    `-U${uuid}`,
    "--all-root",
    "--quiet",
    image,
    tree,
  ]);
  truncateSync(image, Math.ceil(statSync(image).size / PMEM_ALIGNMENT) * PMEM_ALIGNMENT);
}

/** A UUID (RFC 9562, version 8) that a hexadecimal key stands for. */
export function uuidOf(key: string): string {
  const hex = `${key.slice(0, 12)}8${key.slice(13, 16)}8${key.slice(17, 32)}`;
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
