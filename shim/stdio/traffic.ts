import { libc } from "../../sys/libc.ts";

/**
 * The bytes of a chunk lie outside of V8's heap, several times over until they are through: in gRPC, in HTTP/2. V8, which sees
 * the small objects that hold them, would let tens of MiB pile up.
 */
const COLLECT_BYTES = 4 << 20;
/** What was freed lies between small things that stay, and malloc keeps it: as much again, and more with each hundred MiB. */
const TRIM_BYTES = 64 << 20;

let uncollected = 0;
let untrimmed = 0;

/** Counts what the streams of processes carry, either way; now and then what is left of it is collected (`--expose-gc`). */
export function countTraffic(bytes: number): void {
  uncollected += bytes;
  if (uncollected < COLLECT_BYTES) return;
  untrimmed += uncollected;
  uncollected = 0;
  void globalThis.gc?.({ type: "minor" });
  if (untrimmed < TRIM_BYTES) return;
  untrimmed = 0;
  libc.malloc_trim(0);
}
