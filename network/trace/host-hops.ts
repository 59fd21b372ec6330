import type { Deadline } from "../../sys/deadline.ts";
import { type CountedLink, listCountedLinks } from "../../sys/netlink/link.ts";
import { netnsIdOf } from "../../sys/netlink/netns-id.ts";
import { IFF, type Link } from "../../sys/netlink/records.ts";
import { openRoute, type RouteSocket } from "../../sys/netlink/socket.ts";
import { findIngress, listIngressFilters } from "../../sys/netlink/traffic.ts";
import type { AttachedNic } from "../attached-nic.ts";
import { detourName } from "../detour.ts";
import { brokenHop, type Hop, type HopSide } from "./hop.ts";

/** The hops outside the VM, from the node's link to the tap: what they are, and what they counted so far. */
export async function hostHops(
  netns: string,
  nic: Pick<AttachedNic, "plan" | "tapName">,
  options: { readonly redirects: boolean },
  deadline: Deadline,
): Promise<Hop[]> {
  using pod = openRoute({ netns });
  using node = openRoute();
  const inPod = await listCountedLinks(pod, deadline);
  const onNode = await listCountedLinks(node, deadline);
  const link = inPod.find((one) => one.link.index === nic.plan.link.index);
  const tap = inPod.find((one) => one.link.name === nic.tapName);
  const tapHop = tap === undefined ? brokenHop("tap", nic.tapName, "it is gone") : tapHopOf(tap);
  if (link === undefined) return [brokenHop("pod link", nic.plan.link.name, "it is gone"), tapHop];
  const filter = options.redirects ? [await filterHop(pod, link.link, tap?.link, nic.tapName, deadline)] : [];
  const podId = await netnsIdOf(node, netns, deadline);
  const detour = inPod.filter((one) => one.link.name === detourName(nic)).map(detourHop);
  return [
    ...[...hostHop(link.link, onNode, podId), receivingHop("pod link", link)],
    ...[...detour, ...filter, tapHop],
  ];
}

/** The other end of the pod's link, as far as it lies on the node; what others use too is not counted. */
function hostHop(pod: Link, onNode: readonly CountedLink[], podId: number | undefined): Hop[] {
  if (pod.peerElsewhere !== true) return [];
  const other = onNode.find(({ link }) => link.index === pod.peerIndex);
  if (other === undefined) return [];
  // Indexes are each namespace's own: a stranger's veth may have the same.
  const isPeer =
    pod.kind === "veth" &&
    other.link.peerIndex === pod.index &&
    other.peerNetnsId !== undefined &&
    other.peerNetnsId === podId;
  const bridge = onNode.find(({ link }) => link.index === other.link.masterIndex)?.link.name;
  const object = bridge === undefined ? other.link.name : `${other.link.name} (port of ${bridge})`;
  if (isPeer) return [{ ...sendingHop("host link", other), object }];
  if (pod.kind === "veth") return [];
  const fault = faultOf(other.link);
  return [{ name: "host link", object, toGuest: { fault }, fromGuest: { fault } }];
}

/** A link that frames for the guest come in on. */
function receivingHop(name: "pod link" | "tap", { link, counters }: CountedLink): Hop {
  const fault = faultOf(link);
  return {
    name,
    object: link.name,
    toGuest: { fault, packets: counters.receivedPackets, dropped: counters.receivedDropped },
    fromGuest: { fault, packets: counters.sentPackets, dropped: counters.sentDropped },
  };
}

/** What is sent to a tap comes out of it; a macvtap's reader gets what it receives. */
function tapHopOf(tap: CountedLink): Hop {
  return tap.link.kind === "macvtap" ? receivingHop("tap", tap) : sendingHop("tap", tap);
}

/** A link that frames for the guest go out of. */
function sendingHop(name: "host link" | "tap", { link, counters }: CountedLink): Hop {
  const fault = faultOf(link);
  return {
    name,
    object: link.name,
    toGuest: { fault, packets: counters.sentPackets, dropped: counters.sentDropped },
    fromGuest: { fault, packets: counters.receivedPackets, dropped: counters.receivedDropped },
  };
}

/** What is sent to it comes in on the pod's link again; frames from the guest do not pass it. */
function detourHop({ link, counters }: CountedLink): Hop {
  const toGuest = { fault: faultOf(link), packets: counters.sentPackets, dropped: counters.sentDropped };
  return { name: "ifb", object: link.name, toGuest, fromGuest: {} };
}

const faultOf = ({ flags }: Link): string | undefined => ((flags & IFF.UP) === 0 ? "it is down" : undefined);

async function filterHop(
  socket: RouteSocket,
  link: Link,
  tap: Link | undefined,
  tapName: string,
  deadline: Deadline,
): Promise<Hop> {
  const object = `${link.name} <> ${tapName}`;
  if (tap === undefined) return brokenHop("tc filter", object, `there is no ${tapName} to redirect to`);
  return {
    name: "tc filter",
    object,
    toGuest: await filterSide(socket, link, tap, deadline),
    fromGuest: await filterSide(socket, tap, link, deadline),
  };
}

async function filterSide(socket: RouteSocket, from: Link, to: Link, deadline: Deadline): Promise<HopSide> {
  if ((await findIngress(socket, from, deadline)) === undefined)
    return { fault: `${from.name} has no ingress qdisc` };
  const filters = await listIngressFilters(socket, from, deadline);
  const ours = filters.filter(({ redirectsTo }) => redirectsTo === to.index);
  if (ours.length === 0) return { fault: `no filter redirects ${from.name} to ${to.name}` };
  return { packets: ours.reduce((sum, { packets = 0 }) => sum + packets, 0) };
}
