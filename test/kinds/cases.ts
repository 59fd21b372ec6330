import type { LinkKind } from "../../sys/netlink/create-link.ts";

export interface CaseLink {
  readonly name: string;
  readonly what: LinkKind;
  readonly address?: string;
}

/** A pod with links of certain kinds. All but dummies lie on one link of the node, from which a cable leads away. */
export interface Case {
  readonly name: string;
  readonly model: "tcfilter" | "macvtap";
  readonly links: readonly CaseLink[];
}

const ipvlan = (mode: "l2" | "l3" | "l3s") => ({ kind: "ipvlan", mode }) as const;
const single = (name: string, model: Case["model"], what: LinkKind): Case => ({
  name,
  model,
  links: [{ name: "eth0", what, address: "10.5.0.2" }],
});

export const cases: readonly Case[] = [
  single("dummy", "tcfilter", { kind: "dummy" }),
  single("ipvlan l2", "tcfilter", ipvlan("l2")),
  single("ipvlan l3", "tcfilter", ipvlan("l3")),
  single("ipvlan l3s", "tcfilter", ipvlan("l3s")),
  single("vlan", "tcfilter", { kind: "vlan", id: 7 }),
  single("macvlan", "tcfilter", { kind: "macvlan", mode: "bridge" }),
  single("vlan by macvtap", "macvtap", { kind: "vlan", id: 7 }),
  single("dummy by macvtap", "macvtap", { kind: "dummy" }),
  single("ipvlan by macvtap", "macvtap", ipvlan("l2")),
  {
    name: "mixed",
    model: "tcfilter",
    links: [
      { name: "eth1", what: { kind: "macvlan", mode: "bridge" }, address: "10.5.0.2" },
      { name: "eth0", what: { kind: "dummy" }, address: "10.6.0.2" },
      { name: "abcdefghijklmno", what: { kind: "vlan", id: 9 } },
    ],
  },
  {
    name: "two ipvlans on one device",
    model: "tcfilter",
    links: [
      { name: "eth0", what: ipvlan("l2"), address: "10.5.0.2" },
      { name: "net1", what: ipvlan("l2"), address: "10.6.0.2" },
    ],
  },
];
