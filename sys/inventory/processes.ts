import { identify, type ProcessIdentity } from "../process.ts";
import { readLink, readNames, readText } from "./read.ts";
import type { Things } from "./things.ts";

/** Living processes, kernel threads and zombies left out. */
export function listProcesses(mark: string | undefined): { things: Things; pids: number[] } {
  const things: Record<string, string> = {};
  const pids: number[] = [];
  for (const name of readNames("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const identity = identify(Number(name));
    // Of a kernel thread there is no executable.
    if (identity === undefined || readLink(`/proc/${name}/exe`) === "") continue;
    const commandLine = readText(`/proc/${name}/cmdline`).replaceAll("\0", " ").trim();
    if (mark !== undefined && !belongs(name, commandLine, mark)) continue;
    things[`${name}@${identity.startTime}`] = commandLine;
    pids.push(identity.pid);
  }
  return { things, pids };
}

/** A VM that got no cgroup carries no mark; its shim does. */
function belongs(pid: string, commandLine: string, mark: string): boolean {
  if (carries(pid, commandLine, mark)) return true;
  const stat = readText(`/proc/${pid}/stat`);
  const [, parent = ""] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(parent) > 1 && carries(parent, readText(`/proc/${parent}/cmdline`), mark);
}

function carries(pid: string, commandLine: string, mark: string): boolean {
  return (
    commandLine.includes(mark) ||
    readText(`/proc/${pid}/cgroup`).includes(mark) ||
    readText(`/proc/${pid}/environ`).includes(mark)
  );
}

/** How many descriptors of each target the processes hold; sockets, pipes and the like count by their kind. */
export function listDescriptors(identities: readonly ProcessIdentity[]): Things {
  const counts: Record<string, number> = {};
  for (const { pid, startTime } of identities) {
    if (identify(pid)?.startTime !== startTime) continue;
    for (const fd of readNames(`/proc/${pid}/fd`)) {
      const target = readLink(`/proc/${pid}/fd/${fd}`).replace(/:\[\d+\]$/, "");
      if (target === "") continue;
      const key = `${pid}@${startTime} ${target}`;
      counts[key] = (counts[key] ?? 0) + 1;
    }
  }
  return Object.fromEntries(Object.entries(counts).map(([key, count]) => [key, String(count)]));
}
