import { libc } from "../sys/libc.ts";
/** Garbage that a start left: collected while the guest is nobody's, or the next start would have to, in its middle. */
export function collectYoungGarbage(): void {
  void globalThis.gc?.({ type: "minor" });
}

/** All of it, and the room that it had: V8 keeps what its heap grew to, the C library what was freed. Slow. */
export function collectAllGarbage(): void {
  void globalThis.gc?.({ type: "major", execution: "sync", flavor: "last-resort" });
  libc.malloc_trim(0);
}
