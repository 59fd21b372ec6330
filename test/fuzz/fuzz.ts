import { TtrpcError } from "../../shim/ttrpc/status.ts";
import { TapirError } from "../../sys/error.ts";
import { mutate } from "./mutate.ts";
import { randomFrom } from "./random.ts";

/** Code that gets bytes from somebody who may be hostile or broken. */
export interface Target {
  readonly name: string;
  /** Good input. */
  readonly seeds: readonly Buffer[];
  /** Words of the format. */
  readonly words: readonly string[];
  /** Takes any bytes; errors of ours are answers, every other one is a finding. */
  run(input: Buffer): void | Promise<void>;
}

export interface Finding {
  readonly seed: number;
  readonly input: Buffer;
  readonly problem: string;
}

export interface FuzzResult {
  readonly runs: number;
  /** How many were refused with an error of ours. */
  readonly refused: number;
  readonly slowestMs: number;
  readonly findings: readonly Finding[];
}

export interface FuzzLimits {
  readonly runs: number;
  readonly milliseconds: number;
  readonly firstSeed: number;
}

/** A decoder of 64 KiB that takes longer than this can be made to take for ever. */
const SLOW_MS = 2000;
export const MAX_FINDINGS = 5;

/**
 * Each run has a seed of its own: `firstSeed` + its number, and is repeated with it and the same `corpus`: good input besides
 * the target's own.
 */
export async function fuzz(
  target: Target,
  limits: FuzzLimits,
  corpus: readonly Buffer[] = [],
): Promise<FuzzResult> {
  const findings: Finding[] = [];
  const endMs = performance.now() + limits.milliseconds;
  const pool = [...target.seeds, ...corpus];
  let [runs, refused, slowestMs] = [0, 0, 0];
  while (runs < limits.runs && performance.now() < endMs && findings.length < MAX_FINDINGS) {
    const seed = limits.firstSeed + runs;
    runs += 1;
    const input = mutate(randomFrom(seed), pool, target.words);
    const { outcome, ms, problem } = await tryInput(target, input);
    slowestMs = Math.max(slowestMs, ms);
    if (outcome === "refused") refused += 1;
    if (problem !== undefined) findings.push({ seed, input, problem });
  }
  return { runs, refused, slowestMs, findings };
}

/** Runs one input; `problem` says why it is a finding. */
export async function tryInput(
  target: Target,
  input: Buffer,
): Promise<{ readonly outcome: Outcome; readonly ms: number; readonly problem: string | undefined }> {
  const before = process.cpuUsage();
  const outcome = await outcomeOf(target, input);
  // Of the processor: on a busy machine everything takes long.
  const { user, system } = process.cpuUsage(before);
  const ms = (user + system) / 1000;
  const slow = ms > SLOW_MS ? `took ${Math.round(ms)} ms` : undefined;
  return { outcome, ms, problem: typeof outcome === "object" ? outcome.problem : slow };
}

export type Outcome = "taken" | "refused" | { readonly problem: string };

/** What becomes of one input. */
export async function outcomeOf(target: Target, input: Buffer): Promise<Outcome> {
  try {
    await target.run(input);
    return "taken";
  } catch (error) {
    if (error instanceof TapirError || error instanceof TtrpcError) return "refused";
    return { problem: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}
