import type { Deadline } from "../deadline.ts";
import { attribute, attributeNest, attributeText, attributeU32 } from "./attribute.ts";
import { NLM_F, RTM } from "./message.ts";
import type { RouteSocket } from "./socket.ts";

const IFINFOMSG = 16;
/** linux/if_link.h */
const IFLA = { IFNAME: 3, LINK: 5, LINKINFO: 18 } as const;
const IFLA_INFO = { KIND: 1, DATA: 2 } as const;
const VETH_INFO_PEER = 1;
const IFLA_MACVLAN_MODE = 1;
const IFLA_IPVLAN_MODE = 1;
const IFLA_VLAN_ID = 1;
const IFLA_VXLAN_ID = 1;

/** What the kernel makes when it is asked; a kind without settings has none. */
export type LinkKind =
  | { readonly kind: "ifb" | "dummy" | "bridge" }
  | { readonly kind: "veth"; readonly peer: string }
  /** `passthru`: every frame of the link below, whatever its address, is this link's. */
  | { readonly kind: "macvlan" | "macvtap"; readonly mode: keyof typeof MACVLAN_MODE }
  | { readonly kind: "ipvlan"; readonly mode: keyof typeof IPVLAN_MODE }
  | { readonly kind: "vlan" | "vxlan"; readonly id: number };

const MACVLAN_MODE = { bridge: 4, passthru: 8 } as const;
const IPVLAN_MODE = { l2: 0, l3: 1, l3s: 2 } as const;

export interface NewLink {
  readonly name: string;
  /** Index of the link it lies on. */
  readonly on?: number;
  readonly what: LinkKind;
}

/** Makes a link, which is down. EEXIST: the name is taken; EOPNOTSUPP: this kernel has no such kind. */
export async function createLink(socket: RouteSocket, link: NewLink, deadline: Deadline): Promise<void> {
  const data = dataOf(link.what);
  const payload = Buffer.concat([
    Buffer.alloc(IFINFOMSG),
    attributeText(IFLA.IFNAME, link.name),
    ...(link.on === undefined ? [] : [attributeU32(IFLA.LINK, link.on)]),
    attributeNest(
      IFLA.LINKINFO,
      attributeText(IFLA_INFO.KIND, link.what.kind),
      ...(data === undefined ? [] : [attributeNest(IFLA_INFO.DATA, data)]),
    ),
  ]);
  const object = `${link.what.kind} ${link.name}`;
  const flags = NLM_F.CREATE | NLM_F.EXCL;
  await socket.request({ type: RTM.NEWLINK, flags, payload, operation: "make", object }, deadline);
}

function dataOf(what: LinkKind): Buffer | undefined {
  switch (what.kind) {
    case "macvlan":
    case "macvtap":
      return attributeU32(IFLA_MACVLAN_MODE, MACVLAN_MODE[what.mode]);
    case "ipvlan":
      return attribute(IFLA_IPVLAN_MODE, Buffer.of(IPVLAN_MODE[what.mode], 0));
    case "vlan":
      return attribute(IFLA_VLAN_ID, Buffer.of(what.id & 0xff, what.id >> 8));
    case "veth":
      return attributeNest(VETH_INFO_PEER, Buffer.alloc(IFINFOMSG), attributeText(IFLA.IFNAME, what.peer));
    case "vxlan":
      return attributeU32(IFLA_VXLAN_ID, what.id);
    default:
      return undefined;
  }
}
