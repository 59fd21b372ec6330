import { step } from "../setup/step.ts";
import { reasonOf } from "../sys/error.ts";
import { median } from "./median.ts";

/** What one run of an arm found: names with numbers, milliseconds where the name does not say otherwise. */
export type Sample = Readonly<Record<string, number>>;

/** One of the things that are compared. */
export interface Arm {
  readonly name: string;
  run(round: number): Promise<Sample>;
}

export interface RoundLimits {
  readonly rounds: number;
  /** No new round begins after this many milliseconds. */
  readonly budgetMs: number;
}

export interface Outcome {
  readonly samples: ReadonlyMap<string, readonly Sample[]>;
  /** One sentence each. */
  readonly failures: readonly string[];
  /** Fewer are done than were wanted when the time was up. */
  readonly rounds: { readonly done: number; readonly wanted: number };
}

/**
 * Runs the arms in turns, A B C A B C, so that a busy minute of the machine slows all of them. A run that fails is
 * noted and leaves a gap.
 */
export async function interleave(arms: readonly Arm[], { rounds, budgetMs }: RoundLimits): Promise<Outcome> {
  const samples = new Map<string, Sample[]>(arms.map(({ name }) => [name, []]));
  const failures: string[] = [];
  const started = performance.now();
  let done = 0;
  for (let round = 1; round <= rounds; round++) {
    if (performance.now() - started > budgetMs) {
      process.stdout.write(`  time is up: ${round - 1} of ${rounds} rounds\n`);
      break;
    }
    await step(`round ${round} of ${rounds}`, async () => {
      const found: string[] = [];
      for (const { name, run } of arms) {
        try {
          const sample = await run(round);
          samples.get(name)?.push(sample);
          found.push(`${name} ${Object.values(sample)[0]?.toFixed(0)}`);
        } catch (error) {
          failures.push(`${name}, round ${round}: ${reasonOf(error)}`);
          found.push(`${name} FAILED`);
        }
      }
      return found.join(", ");
    });
    done = round;
  }
  return { samples, failures, rounds: { done, wanted: rounds } };
}

/** Every number of that name that an arm found, in the order of the rounds. */
export function valuesOf(outcome: Outcome, arm: string, value: string): number[] {
  return (outcome.samples.get(arm) ?? []).flatMap((sample) => sample[value] ?? []);
}

/** NaN when the arm never ran. */
export function medianOf(outcome: Outcome, arm: string, value: string): number {
  return median(valuesOf(outcome, arm, value));
}

export function minimumOf(outcome: Outcome, arm: string, value: string): number {
  const values = valuesOf(outcome, arm, value);
  return values.length === 0 ? Number.NaN : Math.min(...values);
}
