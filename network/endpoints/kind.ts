import type { Link } from "../../sys/netlink/records.ts";

export type EndpointKind = "veth" | "macvlan" | "ipvlan" | "bridge" | "vlan" | "vxlan" | "dummy" | "tap";

/** One kind of link that a pod can have, told from the kernel's own description of it, never from its name. */
export interface EndpointDetector {
  readonly kind: EndpointKind;
  detects(link: Link): boolean;
}
