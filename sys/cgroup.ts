import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { errnoOf, wrapError } from "./error.ts";
import { readMounts } from "./inventory/mountinfo.ts";

/** A mounted hierarchy of cgroups(7) that accounts for something. */
export interface CgroupHierarchy {
  readonly root: string;
  readonly isCpuset: boolean;
}

const CPUSET_FILES = ["cpuset.cpus", "cpuset.mems"];

/** Every hierarchy of version 1, and that of version 2 unless all controllers are with version 1. */
export function cgroupHierarchies(): CgroupHierarchy[] {
  const byFileSystem = new Map(
    readMounts()
      .filter(({ type, root }) => (type === "cgroup" || type === "cgroup2") && root === "/")
      .map((mount) => [mount.device, mount]),
  );
  return [...byFileSystem.values()]
    .filter(({ type, target }) => type === "cgroup" || hasControllers(target))
    .map(({ type, target, options }) => ({
      root: target,
      isCpuset: type === "cgroup" && options.split(",").includes("cpuset"),
    }));
}

function hasControllers(root: string): boolean {
  return readFileSync(join(root, "cgroup.controllers"), "utf8").trim() !== "";
}

/** Whether memory is counted in this cgroup, of either version. */
export function countsMemory(folder: string): boolean {
  return existsSync(join(folder, "memory.stat"));
}

/** Where this process is in the hierarchy of `folder`, which counts memory; undefined when nothing shows it. */
export function ownMemoryCgroup(
  folder: string,
  hierarchies: readonly CgroupHierarchy[] = cgroupHierarchies(),
  membership = readFileSync("/proc/self/cgroup", "utf8"),
): string | undefined {
  const root = hierarchies.find((one) => folder.startsWith(`${one.root}/`))?.root;
  const lines = membership
    .trim()
    .split("\n")
    .map((line) => /^(\d+):([^:]*):(.*)$/.exec(line));
  const own =
    lines.find((line) => line?.[2]?.split(",").includes("memory")) ?? lines.find((line) => line?.[1] === "0");
  return root === undefined || own?.[3] === undefined ? undefined : join(root, own[3]);
}

/**
 * Has version 2 count below `folder` whatever it counts there itself. Who has processes of its own in it (EBUSY) keeps what
 * it has: nothing can be done about that.
 */
export function passControllers(folder: string): void {
  if (!existsSync(join(folder, "cgroup.subtree_control"))) return;
  const words = (name: string): string[] =>
    readFileSync(join(folder, name), "utf8").split(/\s+/).filter(Boolean);
  const passed = words("cgroup.subtree_control");
  for (const name of words("cgroup.controllers").filter((one) => !passed.includes(one))) {
    try {
      writeFileSync(join(folder, "cgroup.subtree_control"), `+${name}`);
    } catch (error) {
      // cpu refuses while real-time processes are elsewhere; the others are passed on all the same.
      const errno = errnoOf(error);
      if (errno !== "EBUSY" && errno !== "EINVAL" && errno !== "EOPNOTSUPP") {
        throw wrapError(error, { operation: "pass controllers of", object: `cgroup ${folder}` });
      }
    }
  }
}

/** The folders between the root of a hierarchy and `path` in it, the outermost first. */
export function cgroupFolders({ root }: CgroupHierarchy, path: string): string[] {
  const names = path.split("/").filter((name) => name !== "");
  return names.map((_, index) => join(root, ...names.slice(0, index + 1)));
}

export function cgroupExists(folder: string): boolean {
  return existsSync(folder);
}

/** Makes one cgroup; one that is there is fine. */
export function makeCgroup(folder: string): void {
  try {
    mkdirSync(folder);
  } catch (error) {
    if (errnoOf(error) !== "EEXIST")
      throw wrapError(error, { operation: "make", object: `cgroup ${folder}` });
  }
}

/** A cpuset of version 1 starts empty and takes no process before it has CPUs and memory: it gets its parent's. */
export function fillCpuset(folder: string): void {
  for (const name of CPUSET_FILES) {
    const file = join(folder, name);
    if (readFileSync(file, "utf8").trim() !== "") continue;
    writeFileSync(file, readFileSync(join(folder, "..", name), "utf8").trim());
  }
}

/** Moves a process with all its threads; children that come later are there from the start. */
export function joinCgroups(pid: number, folders: readonly string[]): void {
  for (const folder of folders) {
    try {
      writeFileSync(join(folder, "cgroup.procs"), String(pid));
    } catch (error) {
      // It has ended already: who waits for it will say so.
      if (errnoOf(error) !== "ESRCH")
        throw wrapError(error, { operation: "join", object: `cgroup ${folder}` });
    }
  }
}
