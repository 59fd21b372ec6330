/** Garbage that a start left: collected while the guest is nobody's, or the next start would have to, in its middle. */
export function collectYoungGarbage(): void {
  void globalThis.gc?.({ type: "minor" });
}

/** All of it; the second time takes what finalizers of the first let go. */
export function collectAllGarbage(): void {
  void globalThis.gc?.();
  void globalThis.gc?.();
}
