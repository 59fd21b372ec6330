import { modelNamed } from "../models.ts";
import { queuesFor } from "../nic-plan.ts";
import type { RateLimits } from "../rate-limit.ts";
import {
  tryDetour,
  tryIngress,
  tryIpv6,
  tryMacvtap,
  tryRedirect,
  tryShaper,
  tryTap,
  tryVeth,
  tryVhostNet,
} from "./attempts.ts";
import type { Requirement } from "./requirement.ts";

const module = (name: string): string => `load the kernel module: modprobe ${name}`;

const veth: Requirement = {
  name: "veth",
  purpose: "the link that most CNI plugins give a pod",
  wayOut: module("veth"),
  attempt: async ({ socket }, deadline) => void (await tryVeth(socket, deadline)),
};
const ipv6: Requirement = {
  name: "IPv6",
  purpose: "addresses of both families",
  wayOut: "start the kernel without ipv6.disable=1; pods with IPv4 alone run as they are",
  optional: true,
  attempt: tryIpv6,
};
const vhostNet: Requirement = {
  name: "vhost-net",
  purpose: "frames that do not pass through QEMU; without it they do",
  wayOut: `${module("vhost_net")}; or set disable_vhost_net = true to say that it is not wanted`,
  optional: true,
  attempt: tryVhostNet,
};

const tap = (queues: number): Requirement => ({
  name: queues > 1 ? `tap with ${queues} queues` : "tap",
  purpose: "what QEMU holds of a pod's NIC",
  wayOut: `${module("tun")}; in a container, give it the device /dev/net/tun`,
  attempt: (scratch) => tryTap(scratch, queues),
});

const redirects: readonly Requirement[] = [
  {
    name: "ingress qdisc",
    purpose: "where the redirect between link and tap is",
    wayOut: `${module("sch_ingress")} (CONFIG_NET_SCH_INGRESS), or use internetworking_model "macvtap"`,
    attempt: tryIngress,
  },
  {
    name: "u32 filter with mirred",
    purpose: "the redirect between link and tap",
    wayOut: `${module("cls_u32 act_mirred")} (CONFIG_NET_CLS_U32, CONFIG_NET_ACT_MIRRED), or use internetworking_model "macvtap"`,
    attempt: tryRedirect,
  },
];

const ofModel: Readonly<Record<string, readonly Requirement[]>> = {
  tcfilter: redirects,
  macvtap: [
    {
      name: "macvtap",
      purpose: "the link that QEMU holds, on top of the pod's",
      wayOut: `${module("macvtap")}, or use internetworking_model "tcfilter"`,
      attempt: tryMacvtap,
    },
  ],
};

const shaper: Requirement = {
  name: "token bucket",
  purpose: "rate limits of NICs",
  wayOut: `${module("sch_tbf")} (CONFIG_NET_SCH_TBF), or set no limits`,
  attempt: tryShaper,
};
const detour: Requirement = {
  name: "ifb",
  purpose: "where frames to the guest wait for their turn",
  wayOut: `${module("ifb")}, or limit with internetworking_model "tcfilter", which needs none`,
  attempt: tryDetour,
};

/** A macvtap has no queue towards its reader: frames are redirected through one. */
function forLimits(model: string, { rx, tx }: RateLimits): readonly Requirement[] {
  if (rx + tx === 0) return [];
  return rx > 0 && model === "macvtap" ? [shaper, detour, ...redirects] : [shaper];
}

/** What pods of a node need of its kernel. */
export function requirementsOf(node: {
  readonly model: string;
  readonly vcpus: number;
  readonly vhostNet: boolean;
  readonly limits: RateLimits;
}): Requirement[] {
  const { serves } = modelNamed(node.model);
  if (serves.length === 0) return [];
  const queues = queuesFor(node.vcpus);
  const taps = node.model === "macvtap" ? [] : [tap(1), ...(queues > 1 ? [tap(queues)] : [])];
  const model = ofModel[node.model] ?? [];
  const limits = forLimits(node.model, node.limits);
  return [veth, ...taps, ...model, ...limits, ipv6, ...(node.vhostNet ? [vhostNet] : [])];
}
