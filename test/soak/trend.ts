import type { ElderSample } from "./elder.ts";
import type { Sample } from "./sample.ts";
import { slopeOf } from "./slope.ts";

export type Figures = Sample & ElderSample;

/** How one figure changed from round to round. */
export interface Trend {
  readonly what: keyof Figures;
  readonly first: number;
  readonly last: number;
  /** Per round, over the second half: caches fill in the first one. */
  readonly slope: number;
  readonly limit: number;
  /** Heaps grow until somebody collects: memory is judged by many rounds only. */
  readonly judged: boolean;
  /** True also when it cannot be judged. */
  readonly flat: boolean;
}

/** Per round; what is counted in ones must not grow at all, memory of programs not of ours less than a thousand lives notice. */
const LIMITS: Record<keyof Figures, number> = {
  processes: 0.02,
  "threads of containerd": 0.1,
  "descriptors of containerd": 0.1,
  "RSS of containerd, KiB": 100,
  mounts: 0.02,
  cgroups: 0.02,
  "network namespaces": 0.02,
  "tmpfs of templates, KiB": 64,
  "tmpfs in use, KiB": 64,
  "kernel memory that cannot be reclaimed, KiB": 200,
  "RSS of the shim, KiB": 16,
  "descriptors of the shim": 0.02,
  "threads of the shim": 0.02,
  "anonymous memory of QEMU, KiB": 16,
  "descriptors of QEMU": 0.02,
  "anonymous memory of virtiofsd, KiB": 4,
  "descriptors of virtiofsd": 0.02,
  "state directory, KiB": 0.5,
  "guest: memory in use, KiB": 8,
  "guest: slab that cannot be reclaimed, KiB": 4,
  "guest: memory cgroups": 0.02,
};

const MEMORY_ROUNDS = 200;

export function judge(samples: readonly Figures[]): Trend[] {
  const half = samples.slice(Math.floor(samples.length / 2));
  return (Object.keys(LIMITS) as (keyof Figures)[]).map((what) => {
    const slope = slopeOf(half.map((sample) => sample[what]));
    const limit = LIMITS[what];
    const [first, last] = [samples[0]?.[what] ?? 0, samples.at(-1)?.[what] ?? 0];
    const judged = !what.endsWith("KiB") || samples.length >= MEMORY_ROUNDS;
    return { what, first, last, slope, limit, judged, flat: !judged || slope <= limit };
  });
}

export function renderTrends(trends: readonly Trend[], rounds: number): string {
  const rows = trends.map(
    ({ what, first, last, slope, limit, judged, flat }) =>
      `${judged ? (flat ? "ok   " : "GROWS") : "young"}  ${what.padEnd(46)} ${first.toFixed(0).padStart(9)} ${last.toFixed(0).padStart(9)} ${slope.toFixed(3).padStart(9)} (${limit})`,
  );
  const head = `${`${rounds} rounds`.padEnd(57)}first      last     slope (limit)`;
  return [head, ...rows, ""].join("\n");
}
