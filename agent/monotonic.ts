/** Seconds since the guest's boot (CLOCK_MONOTONIC): unmoved by setting the clock. */
export function monotonicSeconds(): number {
  return Number(process.hrtime.bigint()) / 1e9;
}
