import { readdirSync, readFileSync, statfsSync, statSync } from "node:fs";
import { join } from "node:path";
import { listCgroups } from "../../sys/inventory/cgroups.ts";
import { readMounts } from "../../sys/inventory/mountinfo.ts";
import { listProcesses } from "../../sys/inventory/processes.ts";
import type { TestNode } from "../harness/node.ts";
import { BUILT } from "../harness/project.ts";

/** What a node has when no pod is there. */
export interface Sample {
  readonly processes: number;
  readonly "threads of containerd": number;
  readonly "descriptors of containerd": number;
  readonly "RSS of containerd, KiB": number;
  readonly mounts: number;
  readonly cgroups: number;
  readonly "network namespaces": number;
  readonly "tmpfs of templates, KiB": number;
  /** Of the file system that templates and memories lie on, files without a name among it; others' are, too. */
  readonly "tmpfs in use, KiB": number;
  /** Of the whole machine: others are in it. */
  readonly "kernel memory that cannot be reclaimed, KiB": number;
}

export function takeSample({ mark, containerd }: TestNode): Sample {
  const { pid } = containerd.identity();
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return {
    processes: listProcesses(mark).pids.length,
    "threads of containerd": numberIn(status, /^Threads:\s+(\d+)/m),
    "descriptors of containerd": readdirSync(`/proc/${pid}/fd`).length,
    "RSS of containerd, KiB": numberIn(status, /^VmRSS:\s+(\d+)/m),
    mounts: readMounts().filter(({ target }) => target.includes(mark)).length,
    cgroups: Object.keys(listCgroups(mark)).length,
    "network namespaces": readMounts().filter(({ type, target }) => type === "nsfs" && target.includes(mark))
      .length,
    "tmpfs of templates, KiB": usedKib(BUILT.factory),
    "tmpfs in use, KiB": fileSystemKib(BUILT.factory),
    "kernel memory that cannot be reclaimed, KiB": numberIn(
      readFileSync("/proc/meminfo", "utf8"),
      /^SUnreclaim:\s+(\d+)/m,
    ),
  };
}

export const numberIn = (text: string, pattern: RegExp): number => Number(pattern.exec(text)?.[1] ?? 0);

function fileSystemKib(path: string): number {
  const { blocks, bfree, bsize } = statfsSync(path);
  return ((blocks - bfree) * bsize) / 1024;
}

/** What the files below a folder take. */
function usedKib(path: string): number {
  const files = readdirSync(path, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const sizes = files.map(({ name, parentPath }) => statSync(join(parentPath, name)).blocks * 512);
  return sizes.reduce((sum, bytes) => sum + bytes, 0) / 1024;
}
