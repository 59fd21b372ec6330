/**
 * The network as the guest is to have it. Field for field the messages Interface, Route and Neighbor of
 * proto/tapir/agent/v1/agent.proto, so that they go to the agent as they are: "" and 0 say "not set".
 */
export interface GuestNetwork {
  interfaces: GuestInterface[];
  /** In the order in which they can be added. */
  routes: GuestRoute[];
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
  /** MAC by which the guest knows the NIC, when that is not `mac`. */
  hardwareMac?: string | undefined;
}

export interface GuestAddress {
  address: string;
  prefixLength: number;
  peer: string;
  broadcast: string;
  scope: number;
  flags: number;
  label: string;
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
