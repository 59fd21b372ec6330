/**
 * Gives back what a start leaves in the heap, once, when nobody has asked for anything for `quietMs`: 5 MiB of each shim, for 30 ms
 * of a processor that a pod with a short life never pays. Returns what tells that somebody asks. Needs Node's
 * `--expose-gc`; does nothing without.
 */
export function collectWhenQuiet(quietMs: number): () => void {
  let waiting: NodeJS.Timeout | undefined;
  let done = false;
  return () => {
    clearTimeout(waiting);
    if (done) return;
    waiting = setTimeout(async () => {
      done = true;
      globalThis.gc?.({ type: "major", execution: "sync", flavor: "last-resort" });
      (await import("../sys/libc.ts")).libc.malloc_trim(0);
    }, quietMs).unref();
  };
}
