import type { Link } from "../sys/netlink/records.ts";

/** Alias of the taps that Tapir makes: a name could be anybody's. */
export const TAP_ALIAS = "tapir: the pod's VM is behind this tap";

export function isOwnTap({ kind, alias }: Pick<Link, "kind" | "alias">): boolean {
  return kind === "tun" && alias === TAP_ALIAS;
}
