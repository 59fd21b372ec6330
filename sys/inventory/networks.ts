import type { Deadline } from "../deadline.ts";
import { errnoOf } from "../error.ts";
import { listLinks } from "../netlink/link.ts";
import { openRoute } from "../netlink/socket.ts";
import { listIngressFilters, listQdiscs } from "../netlink/traffic.ts";
import { readMounts } from "./mountinfo.ts";
import { readLink } from "./read.ts";
import type { Things } from "./things.ts";

export interface Network {
  /** Where it is found: a file that holds it, or a process that lives in it. */
  readonly name: string;
  readonly path: string;
  /** `net:[<inode>]` */
  readonly identity: string;
}

/** Every network namespace that a mounted file holds or one of the processes lives in, each once. */
export function listNetworks(pids: readonly number[], mark: string | undefined): Network[] {
  const networks = new Map<string, Network>();
  const add = (network: Network): void => {
    if (network.identity !== "" && !networks.has(network.identity)) networks.set(network.identity, network);
  };
  const own = readLink("/proc/self/ns/net");
  if (mark === undefined) add({ name: "this machine's", path: "/proc/self/ns/net", identity: own });
  for (const { type, root, target } of readMounts()) {
    if (type !== "nsfs" || !root.startsWith("net:")) continue;
    if (mark === undefined || target.includes(mark)) add({ name: target, path: target, identity: root });
  }
  for (const pid of pids) {
    const path = `/proc/${pid}/ns/net`;
    const identity = readLink(path);
    // Of a marked process that lives in everybody's namespace nothing follows for that namespace.
    if (identity !== own) add({ name: `that of process ${pid}`, path, identity });
  }
  return [...networks.values()];
}

/** Links, qdiscs and ingress filters of each network. */
export async function inspectNetworks(
  networks: readonly Network[],
  deadline: Deadline,
): Promise<{ links: Things; qdiscs: Things }> {
  const links: Record<string, string> = {};
  const qdiscs: Record<string, string> = {};
  for (const network of networks) {
    try {
      await inspect(network, links, qdiscs, deadline);
    } catch (error) {
      // It ended between the list and the look.
      if (errnoOf(error) !== "ENOENT") throw error;
    }
  }
  return { links, qdiscs };
}

async function inspect(
  { name, path }: Network,
  links: Record<string, string>,
  qdiscs: Record<string, string>,
  deadline: Deadline,
): Promise<void> {
  using socket = openRoute({ netns: path });
  const found = await listLinks(socket, deadline);
  const nameOf = (index: number): string => found.find((link) => link.index === index)?.name ?? `#${index}`;
  for (const { name: link, index, kind = "device", mac, mtu, masterIndex } of found) {
    const master = masterIndex === 0 ? "" : `, port of ${nameOf(masterIndex)}`;
    links[`${name}: ${link} #${index}`] = `${kind}, ${mac}, mtu ${mtu}${master}`;
  }
  for (const { index, kind, handle, parent } of await listQdiscs(socket, deadline)) {
    const filters =
      kind === "ingress" || kind === "clsact"
        ? await listIngressFilters(socket, { index, name: nameOf(index) }, deadline)
        : [];
    qdiscs[`${name}: ${nameOf(index)} #${index} ${kind} ${handle.toString(16)} of ${parent.toString(16)}`] =
      filters.map((filter) => `${filter.kind} ${filter.priority} to ${filter.redirectsTo ?? "-"}`).join(", ");
  }
}
