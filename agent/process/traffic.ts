import { compile } from "../compiler.ts";
import { collectYoungGarbage } from "../garbage.ts";

/** A guest whose streams have carried so much is worth compiling for. */
const BUSY_BYTES = 256 << 10;
/**
 * The bytes of a chunk lie outside of V8's heap, several times over until they are through: in HTTP/2, in gRPC. V8, which sees
 * the small objects that hold them, would let 64 MiB pile up.
 */
const COLLECT_BYTES = 4 << 20;

let total = 0;
let uncollected = 0;

/** Counts what the streams of processes carry, either way, and does what so much of it is worth. */
export function countTraffic(bytes: number): void {
  if (total < BUSY_BYTES && total + bytes >= BUSY_BYTES) compile();
  total += bytes;
  uncollected += bytes;
  if (uncollected < COLLECT_BYTES) return;
  uncollected = 0;
  collectYoungGarbage();
}
