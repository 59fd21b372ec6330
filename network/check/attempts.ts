import { closeSync, existsSync } from "node:fs";
import type { Deadline } from "../../sys/deadline.ts";
import { errnoOf, systemError, TapirError } from "../../sys/error.ts";
import { replaceAddress } from "../../sys/netlink/address.ts";
import { createLink, type LinkKind } from "../../sys/netlink/create-link.ts";
import { findLink, type LinkReference } from "../../sys/netlink/link.ts";
import { IFA_F, RT_SCOPE } from "../../sys/netlink/records.ts";
import { setShaper } from "../../sys/netlink/shaper.ts";
import type { RouteSocket } from "../../sys/netlink/socket.ts";
import { addIngress, addRedirect, deleteIngress, listIngressFilters } from "../../sys/netlink/traffic.ts";
import { Code } from "../../sys/status.ts";
import { hasVhostNet, openTap } from "../../sys/tap.ts";
import type { Scratch } from "./requirement.ts";

const TAP = "check0";

/** Makes a tap with this many queues. */
export async function tryTap({ netns }: Scratch, queues: number): Promise<void> {
  for (const fd of openTap({ netns, name: TAP, queues })) closeSync(fd);
}

let names = 0;

/** Makes a link of a kind on nothing, or on another; returns it. */
async function tryLink(
  socket: RouteSocket,
  what: LinkKind,
  deadline: Deadline,
  on?: LinkReference,
): Promise<LinkReference> {
  const name = `check${++names}`;
  await createLink(socket, { name, what, ...(on === undefined ? {} : { on: on.index }) }, deadline);
  const link = await findLink(socket, { name }, deadline);
  if (link === undefined) throw systemError("ENODEV", { operation: "find", object: `link ${name}` });
  return link;
}

/** Both ends of a veth. */
export async function tryVeth(
  socket: RouteSocket,
  deadline: Deadline,
): Promise<[LinkReference, LinkReference]> {
  const peer = `check${++names}`;
  const link = await tryLink(socket, { kind: "veth", peer }, deadline);
  const other = await findLink(socket, { name: peer }, deadline);
  if (other === undefined) throw systemError("ENODEV", { operation: "find", object: `link ${peer}` });
  return [link, other];
}

/** An ingress qdisc on a veth. */
export async function tryIngress({ socket }: Scratch, deadline: Deadline): Promise<void> {
  const [link] = await tryVeth(socket, deadline);
  await addIngress(socket, link, deadline);
  await deleteIngress(socket, link, deadline);
}

/** A filter that sends every frame of one link out of another, as the model tcfilter has it. */
export async function tryRedirect({ socket }: Scratch, deadline: Deadline): Promise<void> {
  const [link, other] = await tryVeth(socket, deadline);
  await addIngress(socket, link, deadline);
  await addRedirect(socket, link, other, 1, deadline);
  const [filter] = await listIngressFilters(socket, link, deadline);
  if (filter?.redirectsTo === other.index) return;
  throw systemError("ENOENT", { operation: "find", object: "the redirect that was just made" });
}

/** An IPv6 address on a veth. */
export async function tryIpv6({ socket }: Scratch, deadline: Deadline): Promise<void> {
  const [{ index }] = await tryVeth(socket, deadline);
  const more = { peer: undefined, broadcast: undefined, label: undefined, routeMetric: 0 };
  const place = { index, family: 6, address: "fd00::1", prefixLength: 64, scope: RT_SCOPE.UNIVERSE } as const;
  await replaceAddress(socket, { ...place, flags: IFA_F.NODAD, ...more }, deadline);
}

/** A macvtap on a veth. */
export async function tryMacvtap({ socket }: Scratch, deadline: Deadline): Promise<void> {
  const [link] = await tryVeth(socket, deadline);
  await tryLink(socket, { kind: "macvtap", mode: "passthru" }, deadline, link);
}

/** A token bucket at the root of a veth. */
export async function tryShaper({ socket }: Scratch, deadline: Deadline): Promise<void> {
  const [link] = await tryVeth(socket, deadline);
  await setShaper(socket, link, { bytesPerSecond: 1_000_000, burst: 10_000, limit: 100_000 }, deadline);
}

/** A link for frames that have to wait. */
export async function tryDetour({ socket }: Scratch, deadline: Deadline): Promise<void> {
  await tryLink(socket, { kind: "ifb" }, deadline);
}

export async function tryVhostNet(): Promise<void> {
  if (hasVhostNet()) return;
  const cause = existsSync("/dev/vhost-net") ? "it has no driver behind it" : "it is not there";
  throw new TapirError({ code: Code.NOT_FOUND, operation: "open", object: "/dev/vhost-net", cause });
}

/** What the kernel means by its number when a kind or classifier is not built in. */
export function reasonOfMissing(error: unknown): string | undefined {
  switch (errnoOf(error)) {
    case "EOPNOTSUPP":
    case "ENOENT":
    case "EAFNOSUPPORT":
      return "this kernel has it neither built in nor as a module that it may load";
    case "EPERM":
    case "EACCES":
      return "it is not allowed here";
    default:
      return undefined;
  }
}
