import {
  type CgroupHierarchy,
  cgroupExists,
  cgroupFolders,
  cgroupHierarchies,
  fillCpuset,
  makeCgroup,
  passControllers,
} from "../../sys/cgroup.ts";
import type { Ledger } from "../../sys/ledger.ts";
import { cgroupPath } from "./cgroup-path.ts";

/**
 * Makes the pod's cgroup in every hierarchy and returns the folders, for the VM's processes to join: Kubernetes then counts
 * them, and its limits on the pod hold. Without a path there is none. What was not there is in the ledger.
 */
export async function makePodCgroups(
  cgroupsPath: string,
  ledger: Ledger,
  hierarchies: readonly CgroupHierarchy[] = cgroupHierarchies(),
): Promise<string[]> {
  const path = cgroupPath(cgroupsPath);
  if (path === "") return [];
  const made: string[] = [];
  for (const hierarchy of hierarchies) {
    const folders = cgroupFolders(hierarchy, path);
    for (const folder of folders) {
      if (!cgroupExists(folder)) {
        await ledger.acquire("sandbox.cgroup", { kind: "cgroup", path: folder }, () => makeCgroup(folder));
      }
      if (hierarchy.isCpuset) fillCpuset(folder);
      // Processes are only in the last one.
      if (folder !== folders.at(-1)) passControllers(folder);
    }
    made.push(...folders.slice(-1));
  }
  return made;
}
