/**
 * What rtnetlink says about links, addresses, routes, rules and neighbours, as plain records.
 * Shared by host (network/) and guest (agent/network/): the same dump decodes to the same record on both sides.
 * Numbers are the kernel's (linux/if_link.h, if_addr.h, rtnetlink.h, neighbour.h).
 */

export type Family = 4 | 6;

export interface Link {
  readonly index: number;
  readonly name: string;
  /** IFLA_INFO_KIND: "veth", "tun", "bridge", ...; undefined for physical devices and loopback. */
  readonly kind: string | undefined;
  /** Of an ipvlan only. */
  readonly ipvlanMode?: "l2" | "l3" | "l3s" | undefined;
  /** ARPHRD_*: 1 Ethernet, 772 loopback. */
  readonly type: number;
  /** Lower-case, colon-separated; "" when the link has none. */
  readonly mac: string;
  readonly mtu: number;
  /** IFF_* as in ifi_flags. */
  readonly flags: number;
  readonly txQueueLength: number;
  /** Index of the lower or peer link (IFLA_LINK), 0 when there is none. */
  readonly peerIndex: number;
  /** That link is in another namespace. */
  readonly peerElsewhere?: boolean;
  /** IFLA_MASTER, 0 when the link is no port. */
  readonly masterIndex: number;
  /** IFLA_OPERSTATE: 6 up. */
  readonly operationalState: number;
  readonly alias: string;
  /** The device that it is the link of (Linux 5.14); virtual ones have none. */
  readonly parent?: { readonly bus: string; readonly name: string } | undefined;
}

export interface Address {
  readonly index: number;
  readonly family: Family;
  /** Text form, RFC 5952 for IPv6. IFA_LOCAL when present, else IFA_ADDRESS. */
  readonly address: string;
  readonly prefixLength: number;
  /** IFA_ADDRESS when it differs from IFA_LOCAL. */
  readonly peer: string | undefined;
  readonly broadcast: string | undefined;
  readonly scope: number;
  /** IFA_FLAGS (32 bit). */
  readonly flags: number;
  readonly label: string | undefined;
  /** IFA_RT_PRIORITY: metric of the route to the prefix, 0 when not set. */
  readonly routeMetric: number;
}

export interface NextHop {
  readonly gateway: string | undefined;
  readonly index: number;
  /** As iproute2 prints it: rtnh_hops + 1. */
  readonly weight: number;
  readonly onLink: boolean;
  /** RTA_ENCAP_TYPE is there: packets are wrapped (lightweight tunnel); with what, no record says. */
  readonly encapsulated?: boolean;
  /** RTNH_F_DEAD: its link is down or lost the family; the kernel only waits for the others to go too. */
  readonly dead: boolean;
}

export interface Route {
  readonly family: Family;
  /** CIDR, "0.0.0.0/0" and "::/0" for default. */
  readonly destination: string;
  readonly gateway: string | undefined;
  /** RTA_OIF, 0 when there is none (blackhole, multipath). */
  readonly index: number;
  readonly source: string | undefined;
  readonly scope: number;
  /** RTA_PRIORITY, 0 when not set. */
  readonly metric: number;
  readonly table: number;
  readonly protocol: number;
  /** RTN_*. */
  readonly type: number;
  /** RTNH_F_ONLINK. */
  readonly onLink: boolean;
  /** RTAX_* number → value (2 is MTU). */
  readonly metrics: Readonly<Record<number, number>>;
  readonly nextHops: readonly NextHop[];
  /** RTA_PREF of IPv6 routes: 0 medium, 1 high, 3 low; undefined for IPv4. */
  readonly preference: number | undefined;
  /** IPv4 only. */
  readonly tos: number;
  /** RTA_ENCAP_TYPE is there, here or of a next hop: the record says less than the route, which cannot be made from it. */
  readonly encapsulated?: boolean;
  /** IPv6 only: it goes by itself after some time, as what a router advertised does. */
  readonly expires?: boolean;
}

/** Both ends included. */
export interface NumberRange {
  readonly start: number;
  readonly end: number;
}

/** A policy routing rule (linux/fib_rules.h); "", 0 and undefined say that it does not look there. */
export interface Rule {
  readonly family: Family;
  readonly priority: number;
  /** CIDR. */
  readonly source: string;
  readonly destination: string;
  readonly tos: number;
  readonly table: number;
  /** FR_ACT_*. */
  readonly action: number;
  readonly mark: number;
  readonly markMask: number;
  readonly inputInterface: string;
  readonly outputInterface: string;
  readonly invert: boolean;
  readonly suppressPrefixLength?: number | undefined;
  readonly gotoPriority: number;
  readonly uids?: NumberRange | undefined;
  readonly ipProtocol: number;
  readonly sourcePorts?: NumberRange | undefined;
  readonly destinationPorts?: NumberRange | undefined;
  /** RTPROT_*. */
  readonly protocol: number;
}

export interface Neighbor {
  readonly index: number;
  readonly family: Family;
  readonly address: string;
  readonly mac: string;
  /** NUD_*: 0x80 permanent, 0x02 reachable. */
  readonly state: number;
  readonly flags: number;
}

export const IFF = {
  UP: 0x1,
  BROADCAST: 0x2,
  LOOPBACK: 0x8,
  RUNNING: 0x40,
  NOARP: 0x80,
  PROMISC: 0x100,
  ALLMULTI: 0x200,
  MULTICAST: 0x1000,
} as const;

export const NUD = {
  REACHABLE: 0x02,
  STALE: 0x04,
  DELAY: 0x08,
  PROBE: 0x10,
  NOARP: 0x40,
  PERMANENT: 0x80,
} as const;
export const IFA_F = {
  NODAD: 0x02,
  DADFAILED: 0x08,
  HOMEADDRESS: 0x10,
  DEPRECATED: 0x20,
  TENTATIVE: 0x40,
  PERMANENT: 0x80,
  MANAGETEMPADDR: 0x100,
  NOPREFIXROUTE: 0x200,
  MCAUTOJOIN: 0x400,
} as const;
export const RT_TABLE = { DEFAULT: 253, MAIN: 254, LOCAL: 255 } as const;
export const RT_SCOPE = { UNIVERSE: 0, SITE: 200, LINK: 253, HOST: 254 } as const;
export const RTPROT = { KERNEL: 2, BOOT: 3, STATIC: 4, RA: 9 } as const;
/** FR_ACT_* (linux/fib_rules.h). */
export const FR_ACT = { TO_TABLE: 1, GOTO: 2, NOP: 3, BLACKHOLE: 6, UNREACHABLE: 7, PROHIBIT: 8 } as const;
export const RTN = {
  UNICAST: 1,
  LOCAL: 2,
  BROADCAST: 3,
  ANYCAST: 4,
  MULTICAST: 5,
  BLACKHOLE: 6,
  UNREACHABLE: 7,
  PROHIBIT: 8,
  THROW: 9,
} as const;
export const RTAX = { MTU: 2 } as const;
