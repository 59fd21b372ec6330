import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, release } from "node:os";
import { dirname, join } from "node:path";

type Numbers = Readonly<Record<string, number>>;

/** What a benchmark found; ratios and counts are what can be compared between machines. */
export interface BenchResult {
  readonly failures: number;
  /** How often each thing was measured, and was to be. */
  readonly rounds?: { readonly done: number; readonly wanted: number };
  readonly ratios: Numbers;
  readonly phases_ms?: Numbers;
  /** Of the time until the guest answers; phases that run side by side add up to more than 1. */
  readonly phase_shares?: Numbers;
  readonly pss_per_pod_mib?: Numbers;
  /** Processes executed by the shim on the start path. */
  readonly exec_count?: number;
  /** Instructions of the guest's way to a ready agent, in millions. */
  readonly guest_instructions_millions?: Numbers;
  /** Whatever else the table shows. */
  readonly table?: Readonly<Record<string, Numbers>>;
  /** Every single measurement, for whoever doubts the medians. */
  readonly runs?: Readonly<Record<string, readonly number[]>>;
}

const DIGITS = 4;

/** Writes `bench/results/<name>.json` with what tells one machine from another; returns its path. */
export function writeResult(name: string, result: BenchResult): string {
  const path = join(import.meta.dirname, "results", `${name}.json`);
  mkdirSync(dirname(path), { recursive: true });
  const machine = { cpus: cpus().length, model: cpus()[0]?.model ?? "", kernel: release() };
  const rounded = (_: string, value: unknown): unknown =>
    typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(DIGITS)) : value;
  writeFileSync(path, `${JSON.stringify({ name, machine, ...result }, rounded, 2)}\n`);
  return path;
}
