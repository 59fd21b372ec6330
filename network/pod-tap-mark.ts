import type { Link } from "../sys/netlink/records.ts";

/** Alias of the links that Tapir makes in a pod's namespace: a name could be anybody's. */
export const TAP_ALIAS = "tapir: the pod's VM is behind this tap";

/** Whether Tapir made the link: a tap, a macvtap, or what slows a macvtap down. */
export function isOwnTap({ kind, alias }: Pick<Link, "kind" | "alias">): boolean {
  return (kind === "tun" || kind === "macvtap" || kind === "ifb") && alias === TAP_ALIAS;
}
