import {
  attribute,
  attributeNest,
  attributeText,
  decodeAttributeList,
  decodeAttributes,
} from "./attribute.ts";

/** linux/pkt_cls.h, linux/tc_act/tc_mirred.h */
const TCA_U32 = { SEL: 5, ACT: 7 } as const;
const TC_U32_TERMINAL = 1;
const TCA_ACT = { KIND: 1, OPTIONS: 2, STATS: 4 } as const;
/** linux/gen_stats.h */
const TCA_STATS = { BASIC: 1, PACKETS64: 8 } as const;
const TCA_MIRRED_PARMS = 2;
const TCA_EGRESS_REDIR = 1;
const TC_ACT_STOLEN = 4;
const MIRRED_PARMS_BYTES = 28;

/** Options of a u32 filter that matches every frame and sends it out of the link `target`. */
export function encodeRedirect(type: number, target: number): Buffer {
  return attributeNest(
    type,
    attribute(TCA_U32.SEL, matchAll()),
    attributeNest(
      TCA_U32.ACT,
      attributeNest(
        1, // The first of a list of actions.
        attributeText(TCA_ACT.KIND, "mirred"),
        attributeNest(TCA_ACT.OPTIONS, attribute(TCA_MIRRED_PARMS, mirred(target))),
      ),
    ),
  );
}

export interface Redirect {
  /** Index of the link that frames go out of. */
  readonly target: number;
  /** Frames that it took so far; undefined when the kernel did not say. */
  readonly packets: number | undefined;
}

/** The first egress redirect among a u32 filter's actions; undefined when it has none. */
export function decodeRedirect(options: Buffer): Redirect | undefined {
  const actions = decodeAttributes(options).get(TCA_U32.ACT);
  if (actions === undefined) return undefined;
  for (const [, action] of decodeAttributeList(actions)) {
    const attributes = decodeAttributes(action);
    const details = attributes.get(TCA_ACT.OPTIONS);
    if (attributes.text(TCA_ACT.KIND) !== "mirred" || details === undefined) continue;
    const parameters = decodeAttributes(details).get(TCA_MIRRED_PARMS);
    if (parameters === undefined || parameters.length < MIRRED_PARMS_BYTES) continue;
    if (parameters.readInt32LE(20) !== TCA_EGRESS_REDIR) continue;
    return { target: parameters.readUInt32LE(24), packets: countedBy(attributes.get(TCA_ACT.STATS)) };
  }
  return undefined;
}

/** struct gnet_stats_basic: bytes in 64 bit, packets in 32; packets in 64 in an attribute of their own when they need it. */
function countedBy(statistics: Buffer | undefined): number | undefined {
  if (statistics === undefined) return undefined;
  const attributes = decodeAttributes(statistics);
  const wide = attributes.get(TCA_STATS.PACKETS64);
  if (wide !== undefined && wide.length >= 8) return Number(wide.readBigUInt64LE(0));
  const basic = attributes.get(TCA_STATS.BASIC);
  return basic !== undefined && basic.length >= 12 ? basic.readUInt32LE(8) : undefined;
}

/** struct tc_u32_sel with one key whose mask is zero: as `match u32 0 0` of tc(8). */
function matchAll(): Buffer {
  const bytes = Buffer.alloc(32);
  bytes.writeUInt8(TC_U32_TERMINAL, 0);
  bytes.writeUInt8(1, 2);
  return bytes;
}

/** struct tc_mirred. */
function mirred(target: number): Buffer {
  const bytes = Buffer.alloc(MIRRED_PARMS_BYTES);
  bytes.writeInt32LE(TC_ACT_STOLEN, 8);
  bytes.writeInt32LE(TCA_EGRESS_REDIR, 20);
  bytes.writeUInt32LE(target, 24);
  return bytes;
}
