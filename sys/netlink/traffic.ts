import type { Deadline } from "../deadline.ts";
import { attributeText, decodeAttributes } from "./attribute.ts";
import type { LinkReference } from "./link.ts";
import { NLM_F, RTM } from "./message.ts";
import type { RouteSocket } from "./socket.ts";
import { decodeRedirect, encodeRedirect } from "./u32.ts";

/** Bytes of struct tcmsg (linux/rtnetlink.h). */
const TCMSG = 20;
const TCA = { KIND: 1, OPTIONS: 2 } as const;
/** Where `ingress` and `clsact` sit, and the handle both have (linux/pkt_sched.h). */
const TC_H_INGRESS = 0xffff_fff1;
const TC_H_INGRESS_HANDLE = 0xffff_0000;
/** The filters of the way in: valid below an ingress and below a clsact qdisc. */
const TC_H_MIN_INGRESS = 0xffff_fff2;

/** Every protocol (linux/if_ether.h). */
export const ETH_P_ALL = 3;

export interface Qdisc {
  readonly index: number;
  /** "ingress", "clsact", "noqueue", ... */
  readonly kind: string;
  readonly handle: number;
  readonly parent: number;
}

export interface Filter {
  readonly index: number;
  /** "u32", "bpf", ... */
  readonly kind: string;
  readonly priority: number;
  /** ETH_P_* */
  readonly protocol: number;
  readonly handle: number;
  /** The link a mirred egress redirect leads to: 0 when that link is gone, undefined when the filter does something else. */
  readonly redirectsTo: number | undefined;
  /** Frames that its redirect took so far; undefined when it has none or the kernel does not say. */
  readonly packets?: number | undefined;
}

/** The qdiscs of every link of the namespace. */
export async function listQdiscs(socket: RouteSocket, deadline: Deadline): Promise<Qdisc[]> {
  const request = { type: RTM.GETQDISC, payload: Buffer.alloc(TCMSG), operation: "list", object: "qdiscs" };
  const replies = await socket.dump(request, deadline);
  return replies.map(({ payload }) => ({
    index: payload.readInt32LE(4),
    handle: payload.readUInt32LE(8),
    parent: payload.readUInt32LE(12),
    kind: decodeAttributes(payload, TCMSG).text(TCA.KIND) ?? "",
  }));
}

/** The ingress or clsact qdisc of a link, if it has one: a link has at most one of the two. */
export async function findIngress(
  socket: RouteSocket,
  link: LinkReference,
  deadline: Deadline,
): Promise<Qdisc | undefined> {
  const qdiscs = await listQdiscs(socket, deadline);
  return qdiscs.find(({ index, parent }) => index === link.index && parent === TC_H_INGRESS);
}

/** Adds an ingress qdisc; EEXIST when the link has one or a clsact. */
export async function addIngress(
  socket: RouteSocket,
  link: LinkReference,
  deadline: Deadline,
): Promise<void> {
  await changeQdisc(socket, "add", RTM.NEWQDISC, NLM_F.CREATE | NLM_F.EXCL, link, deadline);
}

/** Deletes the ingress qdisc and every filter below it; ENOENT or EINVAL when there is none. */
export async function deleteIngress(
  socket: RouteSocket,
  link: LinkReference,
  deadline: Deadline,
): Promise<void> {
  await changeQdisc(socket, "delete", RTM.DELQDISC, 0, link, deadline);
}

async function changeQdisc(
  socket: RouteSocket,
  operation: string,
  type: number,
  flags: number,
  link: LinkReference,
  deadline: Deadline,
): Promise<void> {
  const payload = Buffer.concat([
    tcmsg(link.index, TC_H_INGRESS_HANDLE, TC_H_INGRESS, 0),
    attributeText(TCA.KIND, "ingress"),
  ]);
  const object = `ingress qdisc dev ${link.name}`;
  await socket.request({ type, flags, payload, operation, object }, deadline);
}

/** The filters on a link's way in, in order of priority. */
export async function listIngressFilters(
  socket: RouteSocket,
  link: LinkReference,
  deadline: Deadline,
): Promise<Filter[]> {
  const payload = tcmsg(link.index, 0, TC_H_MIN_INGRESS, 0);
  const object = `ingress filters dev ${link.name}`;
  const replies = await socket.dump({ type: RTM.GETTFILTER, payload, operation: "list", object }, deadline);
  return replies.map((reply) => decodeFilter(reply.payload)).filter(isRule);
}

/** Redirects every frame that comes in on `from` out of `to`: u32 match-all with a mirred action. */
export async function addRedirect(
  socket: RouteSocket,
  from: LinkReference,
  to: LinkReference,
  priority: number,
  deadline: Deadline,
): Promise<void> {
  const payload = Buffer.concat([
    tcmsg(from.index, 0, TC_H_MIN_INGRESS, info(priority, ETH_P_ALL)),
    attributeText(TCA.KIND, "u32"),
    encodeRedirect(TCA.OPTIONS, to.index),
  ]);
  const object = `redirect from ${from.name} to ${to.name}`;
  const flags = NLM_F.CREATE | NLM_F.EXCL;
  await socket.request({ type: RTM.NEWTFILTER, flags, payload, operation: "add", object }, deadline);
}

/** Deletes exactly this filter, or with handle 0 all of its priority; ENOENT or EINVAL when there is none. */
export async function deleteIngressFilter(
  socket: RouteSocket,
  link: LinkReference,
  filter: Pick<Filter, "kind" | "priority" | "protocol" | "handle">,
  deadline: Deadline,
): Promise<void> {
  const payload = Buffer.concat([
    tcmsg(link.index, filter.handle, TC_H_MIN_INGRESS, info(filter.priority, filter.protocol)),
    attributeText(TCA.KIND, filter.kind),
  ]);
  const object = `filter ${filter.priority} dev ${link.name}`;
  await socket.request({ type: RTM.DELTFILTER, payload, operation: "delete", object }, deadline);
}

/** The kernel lists the classifier itself with handle 0, and u32 its hash tables with no node in the handle. */
function isRule({ kind, handle }: Filter): boolean {
  return handle !== 0 && !(kind === "u32" && (handle & 0xf_ffff) === 0);
}

function decodeFilter(payload: Buffer): Filter {
  const attributes = decodeAttributes(payload, TCMSG);
  const kind = attributes.text(TCA.KIND) ?? "";
  const options = attributes.get(TCA.OPTIONS);
  const redirect = kind === "u32" && options !== undefined ? decodeRedirect(options) : undefined;
  return {
    index: payload.readInt32LE(4),
    handle: payload.readUInt32LE(8),
    protocol: payload.readUInt16BE(16),
    priority: payload.readUInt16LE(18),
    kind,
    redirectsTo: redirect?.target,
    packets: redirect?.packets,
  };
}

/** tcm_info of a filter: priority in the upper half, protocol in network order in the lower. */
function info(priority: number, protocol: number): number {
  return ((priority << 16) | ((protocol & 0xff) << 8) | (protocol >> 8)) >>> 0;
}

function tcmsg(index: number, handle: number, parent: number, tcmInfo: number): Buffer {
  const bytes = Buffer.alloc(TCMSG);
  bytes.writeInt32LE(index, 4);
  bytes.writeUInt32LE(handle, 8);
  bytes.writeUInt32LE(parent, 12);
  bytes.writeUInt32LE(tcmInfo, 16);
  return bytes;
}
