import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { compare, tally } from "./comparison.ts";
import { readGinkgoReport, type SpecResult, type SuiteResult } from "./ginkgo-report.ts";
import { renderComparison, renderFailures, renderTable } from "./render.ts";
import { type Skip, skipsOf, staleSkips } from "./skip-list.ts";
import { logOf, reportOf } from "./suite.ts";

const RESULTS = join(import.meta.dirname, "results.json");

export interface CritestRun {
  readonly results: ReadonlyMap<string, SuiteResult>;
  /** What the pods left on the node. */
  readonly leftOver: readonly string[];
}

/** Of every handler but the yardstick. */
export interface CritestCounts {
  readonly passed: number;
  /** Specs that failed, or were left out without a reason, and what else is wrong with the run. */
  readonly failed: number;
  readonly skipped: number;
  /** Each of the failed ones in a line. */
  readonly problems: readonly string[];
}

/**
 * Prints what was run, compares it with the first of the `handlers`, and keeps the counts of a whole run. A handler that was
 * not run now is compared with its last run.
 */
export function report(
  handlers: readonly string[],
  { results: run, leftOver }: CritestRun,
  focus: string | undefined,
  skips: readonly Skip[],
): CritestCounts {
  const [yardstickName = "", ...others] = handlers;
  const problems = new Set(leftOver.map((line) => `left over: ${line}`));
  const results = new Map<string, readonly SpecResult[]>();
  for (const handler of handlers) {
    const specs = run.get(handler)?.specs ?? lastRun(handler);
    const inFocus = specs?.filter(({ name }) => focus === undefined || new RegExp(focus).test(name));
    if (inFocus !== undefined) results.set(handler, inFocus);
  }
  if (focus === undefined) {
    const tallies = Object.fromEntries([...results].map(([handler, specs]) => [handler, tally(specs)]));
    writeFileSync(RESULTS, `${JSON.stringify(tallies, null, 2)}\n`);
  }
  process.stdout.write(renderTable(results));
  for (const [handler, { broken }] of run) {
    process.stdout.write(renderFailures(handler, results.get(handler) ?? [], logOf(handler)));
    if (broken === "") continue;
    problems.add(`the run with ${handler} is not complete: ${broken}`);
  }
  const yardstick = results.get(yardstickName) ?? [];
  const failedSpecs: string[] = [];
  const counts = others.map((handler) => {
    const specs = results.get(handler) ?? [];
    const comparison = compare(yardstick, specs, skipsOf(skips, handler));
    const { passed, failed_names, skipped } = tally(specs);
    if (passed === 0) problems.add(`no spec passed with ${handler}`);
    if (yardstick.length === 0)
      problems.add(`${yardstickName} was never run: there is nothing to compare with`);
    else process.stdout.write(renderComparison(handler, yardstickName, comparison));
    const failed = new Set([...failed_names, ...comparison.worse.map(({ name }) => name)]);
    for (const name of failed) failedSpecs.push(`${handler}: ${name}`);
    return { passed, skipped };
  });
  const stale = focus === undefined ? staleSkips(skips, [...results.values()].flat()) : [];
  for (const { pattern } of stale) problems.add(`skip.txt: no spec matches ${pattern.source}`);
  for (const problem of problems) process.stdout.write(`${problem}\n`);
  const sum = (pick: (one: { passed: number; skipped: number }) => number): number =>
    counts.reduce((total, one) => total + pick(one), 0);
  if (leftOver.length === 0) process.stdout.write("nothing is left of the pods\n");
  return {
    passed: sum(({ passed }) => passed),
    failed: failedSpecs.length + problems.size,
    skipped: sum(({ skipped }) => skipped),
    problems: [...failedSpecs, ...problems],
  };
}

/** Of the last whole run, unless it broke off. */
function lastRun(handler: string): readonly SpecResult[] | undefined {
  const path = reportOf(handler);
  if (!existsSync(path)) return undefined;
  const { specs, broken } = readGinkgoReport(readFileSync(path, "utf8"));
  return broken === "" ? specs : undefined;
}
