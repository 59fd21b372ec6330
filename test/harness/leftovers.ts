import { readdirSync, readFileSync, rmdirSync } from "node:fs";
import type { Deadline } from "../../sys/deadline.ts";
import { listCgroups } from "../../sys/inventory/cgroups.ts";
import { readMounts } from "../../sys/inventory/mountinfo.ts";
import { unmount } from "../../sys/mount.ts";
import { identify, killProcess } from "../../sys/process.ts";

/**
 * Takes away by force what a failed test left behind: processes whose environment, command line or cgroup carries `mark`,
 * mounts below directories of that name, cgroups. The test has failed before this runs; it keeps the next one clean.
 */
export async function removeLeftovers(mark: string, deadline: Deadline): Promise<void> {
  await Promise.all(markedProcesses(mark).map((identity) => killProcess(identity, deadline)));
  for (const target of markedMounts(mark)) unmount(target);
  const cgroups = Object.keys(listCgroups(mark));
  // Children first.
  for (const path of cgroups.sort((a, b) => b.length - a.length)) rmdirSync(path);
}

function markedProcesses(mark: string) {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) =>
      ["environ", "cmdline", "cgroup"].some((file) => read(`/proc/${pid}/${file}`).includes(mark)),
    )
    .map((pid) => identify(Number(pid)))
    .filter((identity) => identity !== undefined);
}

/** Deepest first. */
function markedMounts(mark: string): string[] {
  return readMounts()
    .map(({ target }) => target)
    .filter((target) => target.includes(`/${mark}/`))
    .reverse();
}

function read(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}
