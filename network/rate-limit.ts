import type { Deadline } from "../sys/deadline.ts";
import type { Shape } from "../sys/netlink/shaper.ts";

/** How fast a NIC may be, in bits per second of Ethernet frames; 0: as fast as it goes. */
export interface RateLimits {
  /** To the guest. */
  readonly rx: number;
  /** From the guest. */
  readonly tx: number;
}

export interface RateLimiter {
  /** What holds now. */
  readonly limits: RateLimits;
  /** What is left out stays. The MTU is the link's of now. */
  set(limits: Partial<RateLimits>, deadline: Deadline, mtu?: number): Promise<void>;
}

/** Ethernet header and a VLAN tag. */
const FRAME_HEADER = 18;
/** What passes at once: short enough that a second's worth is right within a percent. */
const BURST_SECONDS = 0.01;
/** What waits: long enough that one TCP stream reaches the rate and that a large segment fits, short enough not to stall it. */
const QUEUE_SECONDS = 0.1;
const LEAST_FRAMES = { burst: 2, queue: 64 } as const;
const MAXIMUM = 0x7fff_ffff;

/** The token bucket that lets `bitsPerSecond` pass on a link with that MTU. Pure. */
export function shapeOf(bitsPerSecond: number, mtu: number): Shape {
  const bytesPerSecond = Math.max(1, Math.round(bitsPerSecond / 8));
  const frame = mtu + FRAME_HEADER;
  const bytes = (seconds: number, frames: number): number =>
    Math.min(MAXIMUM, Math.ceil(Math.max(bytesPerSecond * seconds, frames * frame)));
  return {
    bytesPerSecond,
    burst: bytes(BURST_SECONDS, LEAST_FRAMES.burst),
    limit: bytes(QUEUE_SECONDS, LEAST_FRAMES.queue),
  };
}
