import type { Link } from "../../sys/netlink/records.ts";

/** One step: the link with this index is called `to` from then on. */
export interface Rename {
  readonly index: number;
  readonly from: string;
  readonly to: string;
}

/**
 * The steps that give each wanted link its name. A link that sits on a wanted name steps aside first, to a name
 * made of its index (the longest, for index 2^32-1, has exactly the kernel's 15 characters); so names can be
 * swapped and rotated.
 */
export function renames(
  links: readonly Pick<Link, "index" | "name">[],
  wanted: ReadonlyMap<number, string>,
): Rename[] {
  const takers = [...wanted].filter(([index, name]) => nameOf(links, index) !== name);
  const claimed = new Set(takers.map(([, name]) => name));
  const aside = links
    .filter((link) => claimed.has(link.name) && wanted.get(link.index) !== link.name)
    .map((link) => ({ index: link.index, from: link.name, to: `tapir${link.index}` }));
  const moved = new Map(aside.map((step) => [step.index, step.to]));
  const home = takers.map(([index, to]) => ({
    index,
    from: moved.get(index) ?? nameOf(links, index) ?? "",
    to,
  }));
  return [...aside, ...home];
}

function nameOf(links: readonly Pick<Link, "index" | "name">[], index: number): string | undefined {
  return links.find((link) => link.index === index)?.name;
}
