import type { EndpointDetector, LinkKind } from "./kind.ts";

/** Kinds that the kernel names, and that carry Ethernet frames in and out of their own device, each with what lies behind it. */
const KINDS = {
  /** The other end is on the node: in its bridge, or routed. */
  veth: "veth",
  /** A device of the node with a MAC of its own. */
  macvlan: "macvlan",
  /** A device of the node with its MAC; in the mode L3 without ARP. In the mode L3S it is none that frames come in on. */
  ipvlan: "ipvlan",
  /** A bridge inside the pod; its ports are not the pod's, the bridge is. */
  bridge: "bridge",
  vlan: "vlan",
  vxlan: "vxlan",
  /** Leads nowhere: the pod has the address, no more. */
  dummy: "dummy",
} as const satisfies Record<string, LinkKind>;

export const virtualEndpoints: readonly EndpointDetector[] = Object.entries(KINDS).map(([name, kind]) => ({
  kind,
  detects: (link) => link.kind === name && link.ipvlanMode !== "l3s",
}));
