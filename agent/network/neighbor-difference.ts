import { type Difference, difference } from "../../sys/netlink/difference.ts";
import { type Neighbor, NUD } from "../../sys/netlink/records.ts";

/** Which entries go, come and change. Only permanent ones go: the others are what the kernel learned itself. */
export function neighborDifference(
  current: readonly Neighbor[],
  wanted: readonly Neighbor[],
): Difference<Neighbor> {
  const plan = difference(current, wanted.map(asSet), keyOf, isSame);
  return { ...plan, gone: plan.gone.filter(({ state }) => state === NUD.PERMANENT) };
}

/** Entries that the kernel derives (multicast, loopback) are no part of the table that a pod has. */
export function isUnicast({ address }: Pick<Neighbor, "address">): boolean {
  const first = Number.parseInt(address, 10);
  return address.includes(":") ? !address.startsWith("ff") : first < 224 && first !== 127;
}

function asSet(neighbor: Neighbor): Neighbor {
  return neighbor.state === 0 ? { ...neighbor, state: NUD.PERMANENT } : neighbor;
}

function keyOf({ index, address }: Neighbor): string {
  return `${index} ${address}`;
}

function isSame(current: Neighbor, wanted: Neighbor): boolean {
  return current.mac === wanted.mac && current.state === wanted.state && current.flags === wanted.flags;
}
