import type { Neighbor } from "../../proto/gen/tapir/agent/v1/agent.ts";
import type { Deadline } from "../../sys/deadline.ts";
import { errnoOf } from "../../sys/error.ts";
import {
  deleteNeighbor,
  listNeighbors as readNeighbors,
  replaceNeighbor,
} from "../../sys/netlink/neighbor.ts";
import { type LinkNames, readLinkNames } from "./link-names.ts";
import { fromNeighbor, toNeighbor } from "./message.ts";
import { isUnicast, neighborDifference } from "./neighbor-difference.ts";
import type { Network } from "./network.ts";

/** The ARP and NDP tables without what the kernel derives for multicast and loopback. */
export async function listNeighbors(network: Network, deadline: Deadline): Promise<Neighbor[]> {
  const [names, neighbors] = await Promise.all([
    readLinkNames(network, deadline),
    readNeighbors(network.socket, deadline),
  ]);
  return neighbors.filter(isUnicast).map((neighbor) => toNeighbor(neighbor, names.nameOf));
}

/** Adds or replaces entries; nothing goes. */
export async function addNeighbors(
  network: Network,
  wanted: readonly Neighbor[],
  deadline: Deadline,
): Promise<void> {
  await apply(network, wanted, false, deadline);
}

/** Brings the permanent entries to the wanted set. */
export async function applyNeighbors(
  network: Network,
  wanted: readonly Neighbor[],
  deadline: Deadline,
  names?: LinkNames,
): Promise<void> {
  await apply(network, wanted, true, deadline, names);
}

async function apply(
  network: Network,
  wanted: readonly Neighbor[],
  declarative: boolean,
  deadline: Deadline,
  names?: LinkNames,
): Promise<void> {
  const { indexOf } = names ?? (await readLinkNames(network, deadline));
  const goal = wanted.map((neighbor) => fromNeighbor(neighbor, indexOf));
  const current = (await readNeighbors(network.socket, deadline)).filter(isUnicast);
  const { gone, added, changed } = neighborDifference(current, goal);
  for (const neighbor of declarative ? gone : []) {
    try {
      await deleteNeighbor(network.socket, neighbor, deadline);
    } catch (error) {
      if (errnoOf(error) !== "ENOENT") throw error;
    }
  }
  for (const neighbor of [...added, ...changed.map(({ to }) => to)]) {
    await replaceNeighbor(network.socket, neighbor, deadline);
  }
}
