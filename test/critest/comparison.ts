import type { SpecResult } from "./ginkgo-report.ts";
import type { Skip } from "./skip-list.ts";

/** What `results.json` says of one handler. */
export interface Tally {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly failed_names: readonly string[];
}

export interface Comparison {
  /** Pass under the yardstick; fail, or are silently left out, under the other. */
  readonly worse: readonly SpecResult[];
  /** Pass under the yardstick, and are left out of the other with a reason. */
  readonly leftOut: readonly { readonly name: string; readonly reason: string }[];
  /** Fail under both: the machine's fault or the suite's. */
  readonly both: readonly SpecResult[];
}

export function tally(results: readonly SpecResult[]): Tally {
  const named = (state: SpecResult["state"]) => results.filter((result) => result.state === state);
  const failed = named("failed");
  return {
    passed: named("passed").length,
    failed: failed.length,
    skipped: named("skipped").length,
    failed_names: failed.map(({ name }) => name),
  };
}

/** Compares a handler's results with the yardstick's; `skips` are the ones that hold for the handler. */
export function compare(
  yardstick: readonly SpecResult[],
  results: readonly SpecResult[],
  skips: readonly Skip[],
): Comparison {
  const good = new Set(yardstick.filter(({ state }) => state === "passed").map(({ name }) => name));
  const bad = new Set(tally(yardstick).failed_names);
  const reasonFor = (name: string) => skips.find(({ pattern }) => pattern.test(name))?.reason;
  const known = new Set(results.map(({ name }) => name));
  const missing = [...good].filter((name) => !known.has(name)).map(notRun);
  const notPassed = [...results, ...missing].filter(({ state }) => state !== "passed");
  return {
    worse: notPassed.filter(({ name, state }) => {
      if (state === "failed") return !bad.has(name);
      return good.has(name) && reasonFor(name) === undefined;
    }),
    leftOut: notPassed.flatMap(({ name, state }) => {
      const reason = reasonFor(name);
      return state === "skipped" && good.has(name) && reason !== undefined ? [{ name, reason }] : [];
    }),
    both: notPassed.filter(({ name, state }) => state === "failed" && bad.has(name)),
  };
}

const notRun = (name: string): SpecResult => ({ name, state: "skipped", seconds: 0, message: "not run" });
