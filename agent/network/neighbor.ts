import type { Neighbor } from "../../proto/gen/tapir/agent/v1/agent.ts";
import type { Deadline } from "../../sys/deadline.ts";
import { errnoOf } from "../../sys/error.ts";
import {
  deleteNeighbor,
  listNeighbors as readNeighbors,
  replaceNeighbor,
} from "../../sys/netlink/neighbor.ts";
import type { Neighbor as KernelNeighbor } from "../../sys/netlink/records.ts";
import { allOf } from "./all-of.ts";
import { type LinkNames, readLinkNames } from "./link-names.ts";
import { fromNeighbor, toNeighbor } from "./message.ts";
import { isUnicast, neighborDifference } from "./neighbor-difference.ts";
import type { Network } from "./network.ts";

/** The ARP and NDP tables without what the kernel derives for multicast and loopback. */
export async function listNeighbors(network: Network, deadline: Deadline): Promise<Neighbor[]> {
  const [names, neighbors] = await Promise.all([
    readLinkNames(network, deadline),
    readUnicast(network, deadline),
  ]);
  return neighbors.map((neighbor) => toNeighbor(neighbor, names.nameOf));
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

async function readUnicast({ socket }: Network, deadline: Deadline): Promise<KernelNeighbor[]> {
  return (await readNeighbors(socket, deadline, { multicast: false })).filter(isUnicast);
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
  const current = await readUnicast(network, deadline);
  const { gone, added, changed } = neighborDifference(current, goal);
  await allOf([
    ...(declarative ? gone : []).map((neighbor) => removeNeighbor(network, neighbor, deadline)),
    ...[...added, ...changed.map(({ to }) => to)].map((neighbor) =>
      replaceNeighbor(network.socket, neighbor, deadline),
    ),
  ]);
}

async function removeNeighbor(network: Network, neighbor: KernelNeighbor, deadline: Deadline): Promise<void> {
  try {
    await deleteNeighbor(network.socket, neighbor, deadline);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
  }
}
