import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import { readMounts } from "../../sys/inventory/mountinfo.ts";
import { listProcesses } from "../../sys/inventory/processes.ts";
import { run } from "../harness/run.ts";
import type { Encounter } from "./meeting.ts";
import type { Subject } from "./operation.ts";
import type { Site } from "./site.ts";

/** What faults strike: where it is, and how it is hit. */

export const QEMU = /^\S*qemu-system/;
export const VIRTIOFSD = /^\S*virtiofsd/;
/** What fills a file system. */
export const FILLER = "filler";
const SOON_MS = 30_000;

export const soon = (job: string): Deadline => deadlineIn(SOON_MS, job);

/** Steps of CNI plugins are not the shim's. */
export function atCni(_: Site, __: Subject, { step }: Encounter): boolean {
  return step.startsWith("cni.");
}

export function atShim(site: Site, subject: Subject, encounter: Encounter): boolean {
  return !atCni(site, subject, encounter);
}

export async function fill(directory: string): Promise<void> {
  const args = ["if=/dev/zero", `of=${join(directory, FILLER)}`, "bs=64k"];
  await run({ command: "dd", args, deadline: soon(`fill ${directory}`) });
}

export function kill(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It is gone already.
  }
}

const processesOf = ({ node }: Site, program: RegExp): number[] =>
  Object.entries(listProcesses(node.mark).things)
    .filter(([, commandLine]) => program.test(commandLine))
    .map(([key]) => Number(key.split("@")[0]));

export function runs(program: RegExp): (site: Site) => boolean {
  return (site) => processesOf(site, program).length > 0;
}

export function signal(site: Site, program: RegExp, name: NodeJS.Signals): "go" | "nothing" {
  const pids = processesOf(site, program);
  for (const pid of pids) kill(pid, name);
  return pids.length === 0 ? "nothing" : "go";
}

/** Of a pod that is being started containerd has not said yet where it is. */
export function netnsOf({ node }: Site, { netns }: Subject): string | undefined {
  if (netns !== undefined) return existsSync(netns) ? netns : undefined;
  const namespaces = readMounts().filter(({ type, target }) => type === "nsfs" && target.includes(node.mark));
  return namespaces.map(({ target }) => target).find((target) => target !== node.netns);
}

/** Of the pods' parent, in either version of cgroups. */
export function pidLimits({ node }: Site): string[] {
  return ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"]
    .map((root) => join(root, node.mark, "pids.max"))
    .filter((file) => existsSync(file));
}
