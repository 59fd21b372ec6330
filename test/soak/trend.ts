import type { Sample } from "./sample.ts";
import { slopeOf } from "./slope.ts";

/** How one figure changed from life to life. */
export interface Trend {
  readonly what: keyof Sample;
  readonly first: number;
  readonly last: number;
  /** Per life, over the second half: caches fill in the first one. */
  readonly slope: number;
  readonly limit: number;
  readonly flat: boolean;
}

/** Per life; what is counted in ones must not grow at all, memory of programs not of ours less than a thousand lives notice. */
const LIMITS: Record<keyof Sample, number> = {
  processes: 0.02,
  "threads of containerd": 0.1,
  "descriptors of containerd": 0.1,
  "RSS of containerd, KiB": 100,
  mounts: 0.02,
  cgroups: 0.02,
  "network namespaces": 0.02,
  "tmpfs of templates, KiB": 64,
  "kernel memory that cannot be reclaimed, KiB": 200,
};

export function judge(samples: readonly Sample[]): Trend[] {
  const half = samples.slice(Math.floor(samples.length / 2));
  return (Object.keys(LIMITS) as (keyof Sample)[]).map((what) => {
    const slope = slopeOf(half.map((sample) => sample[what]));
    const limit = LIMITS[what];
    const [first, last] = [samples[0]?.[what] ?? 0, samples.at(-1)?.[what] ?? 0];
    return { what, first, last, slope, limit, flat: slope <= limit };
  });
}

export function renderTrends(trends: readonly Trend[], lives: number): string {
  const rows = trends.map(
    ({ what, first, last, slope, limit, flat }) =>
      `${flat ? "ok   " : "GROWS"}  ${what.padEnd(46)} ${first.toFixed(0).padStart(9)} ${last.toFixed(0).padStart(9)} ${slope.toFixed(3).padStart(9)} (${limit})`,
  );
  const head = `${lives} lives${" ".repeat(46)}first      last     slope (limit)`;
  return [head, ...rows, ""].join("\n");
}
