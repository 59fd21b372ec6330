import type { GuestAddress, GuestNetwork, GuestRoute } from "../../network/guest-network.ts";
import { RT_SCOPE, RTN, RTPROT } from "../../sys/netlink/records.ts";

/** The pod that never is: a guest plays it before it is saved. Addresses are those of documentation (RFC 5737, 3849). */
export const REHEARSAL = {
  id: "rehearsal",
  hostname: "rehearsal",
  mac: "02:74:61:70:69:00",
  dns: { servers: ["192.0.2.53"], searches: ["example.org"], options: ["ndots:5"] },
} as const;

const DEVICE = "eth0";

/** A usual pod's network: both families, a default route each, a permanent neighbour. */
export function rehearsalNetwork(
  nic: { readonly mac: string; readonly hardwareMac: string } | undefined,
): GuestNetwork {
  if (nic === undefined) return { interfaces: [], routes: [], rules: [], neighbors: [] };
  return {
    interfaces: [
      {
        ...nic,
        name: DEVICE,
        mtu: 1450,
        addresses: [address("192.0.2.2", 24, "192.0.2.255"), address("2001:db8::2", 64, "")],
        up: true,
        noArp: false,
        promiscuous: false,
        allMulticast: false,
        multicast: true,
        txQueueLength: 1000,
        sysctls: {},
      },
    ],
    routes: [defaultRoute(4, "0.0.0.0/0", "192.0.2.1"), defaultRoute(6, "::/0", "2001:db8::1")],
    rules: [],
    neighbors: [{ device: DEVICE, address: "192.0.2.1", mac: "02:00:00:00:00:01", state: 0x80, flags: 0 }],
  };
}

function address(text: string, prefixLength: number, broadcast: string): GuestAddress {
  return { address: text, prefixLength, peer: "", broadcast, scope: 0, flags: 0, label: "", routeMetric: 0 };
}

function defaultRoute(family: number, destination: string, gateway: string): GuestRoute {
  return {
    destination,
    family,
    gateway,
    device: DEVICE,
    source: "",
    scope: RT_SCOPE.UNIVERSE,
    metric: 0,
    table: 254,
    protocol: RTPROT.BOOT,
    type: RTN.UNICAST,
    onLink: false,
    mtu: 0,
    metrics: {},
    nextHops: [],
    preference: 0,
    tos: 0,
  };
}
