import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, release } from "node:os";
import { dirname, join } from "node:path";

/** What a benchmark found; ratios are what can be compared between machines. */
export interface BenchResult {
  readonly phases_ms: Readonly<Record<string, number>>;
  readonly ratios: Readonly<Record<string, number>>;
  /** Every single measurement, for whoever doubts the medians. */
  readonly runs: Readonly<Record<string, readonly number[]>>;
}

/** Writes `bench/results/<name>.json` with what tells one machine from another; returns its path. */
export function writeResult(name: string, result: BenchResult): string {
  const path = join(import.meta.dirname, "results", `${name}.json`);
  mkdirSync(dirname(path), { recursive: true });
  const machine = { cpus: cpus().length, model: cpus()[0]?.model ?? "", kernel: release() };
  const rounded = (_: string, value: unknown): unknown =>
    typeof value === "number" ? Math.round(value * 100) / 100 : value;
  writeFileSync(path, `${JSON.stringify({ name, machine, ...result }, rounded, 2)}\n`);
  return path;
}
