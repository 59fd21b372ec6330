/** One step of the way between the node and a NIC of the guest. */
export interface Hop {
  readonly name: HopName;
  /** What it is on this machine: "veth12ab3c (port of cni0)". */
  readonly object: string;
  readonly toGuest: HopSide;
  readonly fromGuest: HopSide;
}

/** A hop as one direction sees it. */
export interface HopSide {
  /** Why nothing can pass; undefined when nothing is known to be wrong. */
  readonly fault?: string | undefined;
  /** Since the hop came to be; undefined when it does not count, or counts others' packets too. */
  readonly packets?: number | undefined;
  readonly dropped?: number | undefined;
}

/** From the node to the guest. */
export const HOPS = ["host link", "pod link", "tc filter", "tap", "virtio queue", "guest NIC"] as const;
/** "ifb": where frames to the guest wait for their turn, between pod link and tap, when a macvtap's rate is limited. */
export type HopName = (typeof HOPS)[number] | "ifb";

/** A hop that is not there, or cannot be asked. */
export function brokenHop(name: HopName, object: string, fault: string): Hop {
  return { name, object, toGuest: { fault }, fromGuest: { fault } };
}
