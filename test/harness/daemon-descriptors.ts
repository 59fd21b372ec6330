import { dirname, join } from "node:path";
import { readLink, readNames, readText } from "../../sys/inventory/read.ts";
import type { Things } from "../../sys/inventory/things.ts";
import type { Containerd } from "./containerd.ts";

/**
 * How many descriptors of each kind the daemon holds. Under its role, not its pid: a test may have restarted it. Left out are
 * connections that clients have made to it: the last one may not have been closed yet; and databases of its own, which it opens
 * when it first needs one, and keeps.
 */
export function daemonDescriptors({ running, socket }: Containerd): Things {
  const pid = running()?.pid;
  if (pid === undefined) return {};
  const clients = clientsOf(pid, socket);
  const databases = join(dirname(socket), "root/");
  const counts: Record<string, number> = {};
  for (const fd of readNames(`/proc/${pid}/fd`)) {
    const target = readLink(`/proc/${pid}/fd/${fd}`);
    if (target === "" || clients.has(target) || target.startsWith(databases)) continue;
    const key = `containerd ${target.replace(/:\[\d+\]$/, "")}`;
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return Object.fromEntries(Object.entries(counts).map(([key, count]) => [key, String(count)]));
}

/** Accepted sockets bear the name of the one that listens; "03": connected (proc(5)). */
function clientsOf(pid: number, socket: string): Set<string> {
  const lines = readText(`/proc/${pid}/net/unix`).split("\n");
  const inodes = lines.map((line) => line.trim().split(/\s+/)).filter((words) => isClient(words, socket));
  return new Set(inodes.map((words) => `socket:[${words[6]}]`));
}

const isClient = (words: readonly string[], socket: string): boolean =>
  words[5] === "03" && (words[7] ?? "").startsWith(socket);
