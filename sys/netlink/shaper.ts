import type { Deadline } from "../deadline.ts";
import { attribute, attributeNest, attributeText, attributeU32 } from "./attribute.ts";
import type { LinkReference } from "./link.ts";
import { NLM_F, RTM } from "./message.ts";
import type { RouteSocket } from "./socket.ts";
import { listQdiscs, type Qdisc } from "./traffic.ts";

/** linux/rtnetlink.h, linux/pkt_sched.h */
const TCMSG = 20;
const TCA = { KIND: 1, OPTIONS: 2 } as const;
const TCA_TBF = { PARMS: 1, RATE64: 4, BURST: 6 } as const;
const TBF_PARMS_BYTES = 36;
const TC_H_ROOT = 0xffff_ffff;
const TC_LINKLAYER_ETHERNET = 1;
const RATE_MAX = 0xffff_ffff;

const KIND = "tbf";
/** By which ours are known: the kernel and tc(8) give out 8001: and on, people small numbers. */
const HANDLE = 0x7a91_0000;

export interface Shape {
  readonly bytesPerSecond: number;
  /** What may pass at once, in bytes: at least a frame of the link. */
  readonly burst: number;
  /** What may wait, in bytes; the rest is dropped. */
  readonly limit: number;
}

/** The qdisc that somebody put at the root of a link, not the one that the kernel gave it. */
export async function findRoot(
  socket: RouteSocket,
  link: LinkReference,
  deadline: Deadline,
): Promise<Qdisc | undefined> {
  const qdiscs = await listQdiscs(socket, deadline);
  return qdiscs.find(
    ({ index, parent, handle }) => index === link.index && parent === TC_H_ROOT && handle !== 0,
  );
}

export function isShaper({ kind, handle }: Qdisc): boolean {
  return kind === KIND && handle === HANDLE;
}

/** Slows down what leaves a link: a token bucket at its root, in the place of what is there. ENOENT: the kernel has none. */
export async function setShaper(
  socket: RouteSocket,
  link: LinkReference,
  shape: Shape,
  deadline: Deadline,
): Promise<void> {
  const rate64 = Buffer.alloc(8);
  rate64.writeBigUInt64LE(BigInt(shape.bytesPerSecond));
  const payload = Buffer.concat([
    tcmsg(link.index),
    attributeText(TCA.KIND, KIND),
    attributeNest(
      TCA.OPTIONS,
      attribute(TCA_TBF.PARMS, parameters(shape)),
      attributeU32(TCA_TBF.BURST, shape.burst),
      ...(shape.bytesPerSecond > RATE_MAX ? [attribute(TCA_TBF.RATE64, rate64)] : []),
    ),
  ]);
  const object = `rate limit of ${link.name}`;
  const flags = NLM_F.CREATE | NLM_F.REPLACE;
  await socket.request({ type: RTM.NEWQDISC, flags, payload, operation: "set", object }, deadline);
}

/** The kernel puts its own qdisc in its place. ENOENT or EINVAL when there is none. */
export async function deleteShaper(
  socket: RouteSocket,
  link: LinkReference,
  deadline: Deadline,
): Promise<void> {
  const payload = Buffer.concat([tcmsg(link.index), attributeText(TCA.KIND, KIND)]);
  const object = `rate limit of ${link.name}`;
  await socket.request({ type: RTM.DELQDISC, payload, operation: "remove", object }, deadline);
}

/** struct tc_tbf_qopt: two struct tc_ratespec of 12 bytes, limit, buffer (TCA_TBF_BURST says it in bytes), mtu. */
function parameters({ bytesPerSecond, limit }: Shape): Buffer {
  const bytes = Buffer.alloc(TBF_PARMS_BYTES);
  // With a link layer the kernel needs no table of rates.
  bytes.writeUInt8(TC_LINKLAYER_ETHERNET, 1);
  bytes.writeUInt32LE(Math.min(bytesPerSecond, RATE_MAX), 8);
  bytes.writeUInt32LE(limit, 24);
  return bytes;
}

function tcmsg(index: number): Buffer {
  const bytes = Buffer.alloc(TCMSG);
  bytes.writeInt32LE(index, 4);
  bytes.writeUInt32LE(HANDLE, 8);
  bytes.writeUInt32LE(TC_H_ROOT, 12);
  return bytes;
}
