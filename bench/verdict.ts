import type { Outcome } from "./measure.ts";

/** Medians of fewer say little. */
const ROUNDS = 10;

/** What makes a result one that nobody should quote: failures, and too few rounds. One sentence each. Pure. */
export function faultsOf(outcomes: readonly Pick<Outcome, "failures" | "rounds">[]): string[] {
  return outcomes.flatMap(({ failures, rounds: { done, wanted } }) => [
    ...failures,
    ...(done < wanted ? [`time was up after ${done} of ${wanted} rounds`] : []),
    ...(done < ROUNDS ? [`${done} rounds, fewer than the ${ROUNDS} that a median needs`] : []),
  ]);
}

/** Says what is wrong with a benchmark's result, at its end; the process ends with 1 then. */
export function conclude(outcomes: readonly Pick<Outcome, "failures" | "rounds">[]): void {
  const failures = outcomes.reduce((sum, one) => sum + one.failures.length, 0);
  const faults = faultsOf(outcomes);
  process.stdout.write(`failures: ${failures}\n${faults.map((fault) => `  ${fault}\n`).join("")}`);
  if (faults.length > 0) process.exitCode = 1;
}
