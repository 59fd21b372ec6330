/**
 * The bytes of a chunk lie outside of V8's heap, several times over until they are through: in gRPC, in HTTP/2. V8, which sees
 * the small objects that hold them, would let tens of MiB pile up.
 */
const COLLECT_BYTES = 8 << 20;

let uncollected = 0;

/** Counts what the streams of processes carry, either way; now and then what is left of it is collected (`--expose-gc`). */
export function countTraffic(bytes: number): void {
  uncollected += bytes;
  if (uncollected < COLLECT_BYTES) return;
  uncollected = 0;
  void globalThis.gc?.({ type: "minor" });
}
