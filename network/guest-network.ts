import type { Rule } from "../sys/netlink/records.ts";

/**
 * The network as the guest is to have it. Field for field the messages Interface, Route, Rule and Neighbor of
 * proto/tapir/agent/v1/agent.proto, so that they go to the agent as they are: "" and 0 say "not set".
 */
export interface GuestNetwork {
  interfaces: GuestInterface[];
  /** In the order in which they can be added. */
  routes: GuestRoute[];
  /** Of a family without any the guest has its kernel's own. */
  rules: GuestRule[];
  neighbors: GuestNeighbor[];
}

export interface GuestInterface {
  name: string;
  mac: string;
  mtu: number;
  addresses: GuestAddress[];
  up: boolean;
  noArp: boolean;
  promiscuous: boolean;
  allMulticast: boolean;
  multicast: boolean;
  txQueueLength: number;
  /** Settings that are not the guest's own, by their key in sys/interface-sysctl.ts. */
  sysctls: { [key: string]: string };
  /** MAC by which the guest knows the NIC, when that is not `mac`. */
  hardwareMac?: string | undefined;
  /** PCI address of the port that it is behind, for a NIC that may come with any MAC. */
  port?: string | undefined;
}

export interface GuestAddress {
  address: string;
  prefixLength: number;
  peer: string;
  broadcast: string;
  scope: number;
  flags: number;
  label: string;
  routeMetric: number;
}

export interface GuestRoute {
  destination: string;
  family: number;
  gateway: string;
  device: string;
  source: string;
  scope: number;
  metric: number;
  table: number;
  protocol: number;
  type: number;
  onLink: boolean;
  mtu: number;
  metrics: { [type: number]: number };
  nextHops: GuestNextHop[];
  preference: number;
  tos: number;
}

export interface GuestNextHop {
  gateway: string;
  device: string;
  weight: number;
  onLink: boolean;
}

export interface GuestNeighbor {
  device: string;
  address: string;
  mac: string;
  state: number;
  flags: number;
}

/** As the kernel has it. */
export interface GuestRule extends Omit<Rule, "family"> {
  readonly family: number;
}
