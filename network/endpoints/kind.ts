import type { Link } from "../../sys/netlink/records.ts";

/** "physical": handed to the VM as it is, whatever the model. */
export type EndpointKind = LinkKind | "physical";
/** What a model connects. */
export type LinkKind = "veth" | "macvlan" | "ipvlan" | "bridge" | "vlan" | "vxlan" | "dummy" | "tap";

/** One kind of link that a pod can have, told from the kernel's own description of it, never from its name. */
export interface EndpointDetector {
  readonly kind: LinkKind;
  detects(link: Link): boolean;
}
