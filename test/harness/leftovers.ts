import { existsSync, readdirSync, readFileSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import type { Deadline } from "../../sys/deadline.ts";
import { unmount } from "../../sys/mount.ts";
import { identify, killProcess } from "../../sys/process.ts";

const CGROUPS = "/sys/fs/cgroup";

/**
 * Takes away by force what a failed test left behind: processes whose environment or command line carries `mark`,
 * mounts below directories of that name, cgroups. The test has failed before this runs; it keeps the next one clean.
 */
export async function removeLeftovers(mark: string, deadline: Deadline): Promise<void> {
  await Promise.all(markedProcesses(mark).map((identity) => killProcess(identity, deadline)));
  for (const target of markedMounts(mark)) unmount(target);
  for (const path of leftoverCgroups(mark)) rmdirSync(path);
}

function markedProcesses(mark: string) {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => ["environ", "cmdline"].some((file) => read(`/proc/${pid}/${file}`).includes(mark)))
    .map((pid) => identify(Number(pid)))
    .filter((identity) => identity !== undefined);
}

/** Deepest first. */
function markedMounts(mark: string): string[] {
  return read("/proc/self/mountinfo")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((target) => target.includes(`/${mark}/`))
    .reverse();
}

/** Cgroups named after a node, deepest first. */
export function leftoverCgroups(mark: string): string[] {
  if (!existsSync(CGROUPS)) return [];
  const hierarchies = ["", ...readdirSync(CGROUPS)].map((name) => join(CGROUPS, name));
  return hierarchies
    .map((hierarchy) => join(hierarchy, mark))
    .filter((path) => existsSync(path))
    .flatMap((path) => [path, ...below(path)])
    .sort((a, b) => b.length - a.length);
}

function below(path: string): string[] {
  return readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap((entry) => [join(path, entry.name), ...below(join(path, entry.name))]);
}

function read(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}
