import type { Deadline } from "./deadline.ts";
import { listCgroups } from "./inventory/cgroups.ts";
import { listBackedDevices } from "./inventory/devices.ts";
import { listFiles } from "./inventory/files.ts";
import { listMounts, listTmpfs } from "./inventory/mounts.ts";
import { inspectNetworks, listNetworks } from "./inventory/networks.ts";
import { listDescriptors, listProcesses } from "./inventory/processes.ts";
import { listSockets } from "./inventory/sockets.ts";
import type { Things } from "./inventory/things.ts";
import type { ProcessIdentity } from "./process.ts";

/** What is on a machine, or the part of it that belongs to one mark. Plain data: it can be written down and compared. */
export interface Inventory {
  readonly processes: Things;
  readonly netns: Things;
  readonly links: Things;
  readonly qdiscs: Things;
  readonly mounts: Things;
  readonly cgroups: Things;
  readonly sockets: Things;
  readonly files: Things;
  readonly descriptors: Things;
  readonly tmpfs: Things;
  readonly devices: Things;
}

export interface InventoryOptions {
  /**
   * Only what carries this word: in its command line, environment, cgroup or path. Without it everything counts,
   * also what strangers do meanwhile.
   */
  readonly mark?: string;
  /** Directories whose content is listed. */
  readonly roots?: readonly string[];
  /** Processes whose open descriptors are listed. */
  readonly descriptorsOf?: readonly ProcessIdentity[];
}

/** Takes the inventory. It only reads; what vanishes meanwhile is left out. */
export async function takeInventory(options: InventoryOptions, deadline: Deadline): Promise<Inventory> {
  const { mark, roots = [], descriptorsOf = [] } = options;
  const processes = listProcesses(mark);
  const networks = listNetworks(processes.pids, mark);
  const { links, qdiscs } = await inspectNetworks(networks, deadline);
  return {
    processes: processes.things,
    netns: Object.fromEntries(networks.map(({ name, identity }) => [name, identity])),
    links,
    qdiscs,
    mounts: listMounts(mark),
    cgroups: listCgroups(mark),
    sockets: listSockets(networks, mark),
    files: listFiles(roots),
    descriptors: listDescriptors(descriptorsOf),
    tmpfs: listTmpfs(mark),
    devices: listBackedDevices(mark),
  };
}

/** What differs, a line for each thing; empty when nothing does. */
export function diffInventory(before: Inventory, after: Inventory): string[] {
  return (Object.keys(before) as (keyof Inventory)[]).flatMap((kind) =>
    diffThings(before[kind], after[kind]).map((line) => `${kind}: ${line}`),
  );
}

/** Of a command line, for one: it is compared as a whole, and shown so far. */
const SHOWN_CHARACTERS = 300;

function diffThings(before: Things, after: Things): string[] {
  const cut = (value: string): string => value.slice(0, SHOWN_CHARACTERS);
  const show = (key: string, value: string): string => (value === "" ? key : `${key} (${cut(value)})`);
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  return keys.flatMap((key) => {
    const old = before[key];
    const now = after[key];
    if (old === now) return [];
    if (old === undefined) return [`left over: ${show(key, now ?? "")}`];
    if (now === undefined) return [`gone: ${show(key, old)}`];
    return [`changed: ${key}: was ${cut(old)}, is ${cut(now)}`];
  });
}
