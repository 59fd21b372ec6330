import type { Hop, HopName, HopSide } from "./hop.ts";

export type Direction = "toGuest" | "fromGuest";

/** A hop counted twice. */
export interface TracedHop {
  readonly hop: Hop;
  /** As the second counting found it, with what came by in between. */
  readonly toGuest: TracedSide;
  readonly fromGuest: TracedSide;
}

export interface TracedSide extends HopSide {
  readonly packetsInWindow: number | undefined;
  readonly droppedInWindow: number | undefined;
}

export interface Verdict {
  /** Hop where packets stop; undefined when none is known to. */
  readonly stopsAt: HopName | undefined;
  readonly reason: string;
  /** Nothing came by within the window. */
  readonly idle: boolean;
}

/** Width of a virtio queue's index: it starts again at 0. */
const QUEUE_INDEXES = 65_536;

/** Joins two countings of the same path; the second decides which hops there are. Pure. */
export function compareHops(before: readonly Hop[], after: readonly Hop[]): TracedHop[] {
  return after.map((hop) => {
    const earlier = before.find(({ name }) => name === hop.name);
    const side = (direction: Direction): TracedSide => ({
      ...hop[direction],
      packetsInWindow: advance(hop.name, earlier?.[direction].packets, hop[direction].packets),
      droppedInWindow: advance(hop.name, earlier?.[direction].dropped, hop[direction].dropped),
    });
    return { hop, toGuest: side("toGuest"), fromGuest: side("fromGuest") };
  });
}

/**
 * The hop where packets of a direction stop: the first that is broken, or that counted nothing while the one before it did.
 * Pure.
 */
export function judge(path: readonly TracedHop[], direction: Direction): Verdict {
  const way = direction === "toGuest" ? path : path.toReversed();
  const brokenAt = (at: number): Verdict | undefined => {
    const { hop, [direction]: { fault } = {} } = way[at] ?? {};
    return hop === undefined || fault === undefined
      ? undefined
      : { stopsAt: hop.name, reason: fault, idle: false };
  };
  let last: { readonly name: HopName; readonly packets: number } | undefined;
  for (const [at, { hop, [direction]: side }] of way.entries()) {
    const broken = brokenAt(at);
    if (broken !== undefined) return broken;
    const packets = side.packetsInWindow;
    if (packets === undefined) continue;
    if (packets === 0 && last !== undefined && last.packets > 0) {
      const reason = `of ${last.packets} that passed the ${last.name} none passed it`;
      // A veth sends nothing while its other end is down.
      return brokenAt(at + 1) ?? { stopsAt: hop.name, reason, idle: false };
    }
    last = { name: hop.name, packets };
  }
  return { stopsAt: undefined, reason: "", idle: (last?.packets ?? 0) === 0 };
}

function advance(name: HopName, before: number | undefined, after: number | undefined): number | undefined {
  if (before === undefined || after === undefined) return undefined;
  if (after >= before) return after - before;
  // Anything else that counts less than before was made anew meanwhile.
  return name === "virtio queue" ? after - before + QUEUE_INDEXES : after;
}
