import type { Failure } from "./failures.ts";

/** What one phase of `npm test` came to. */
export interface PhaseResult {
  readonly name: string;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** Told again at the end, where a log that was cut still has them. */
  readonly failures: readonly Failure[];
  readonly durationMs: number;
  readonly slow: readonly { readonly title: string; readonly durationMs: number }[];
}

const slowMs = 500;
const slowCount = 8;
/** Of each failure. */
const reasonLines = 25;
/** Failures whose reason is told again; hundreds have one cause, and the first ones show it. */
const reasonCount = 20;

export const seconds = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(1)} s`;

/** The end of the report: slowest tests, phases, what failed and why, and as the very last line `N passed, N failed`. */
export function renderSummary(phases: readonly PhaseResult[]): string {
  const sum = (pick: (phase: PhaseResult) => number): number =>
    phases.reduce((total, phase) => total + pick(phase), 0);
  const rows = phases.map(({ name, passed, failed, skipped, durationMs }) => {
    const left = skipped === 0 ? "" : `, ${skipped} left out`;
    return `  ${name.padEnd(12)} ${seconds(durationMs).padStart(8)}  ${passed} passed, ${failed} failed${left}`;
  });
  const slowest = phases
    .flatMap(({ slow }) => slow)
    .filter(({ durationMs }) => durationMs >= slowMs)
    .sort((left, right) => right.durationMs - left.durationMs)
    .slice(0, slowCount)
    .map(({ title, durationMs }) => `  ${seconds(durationMs).padStart(8)}  ${title}`);
  return [
    "",
    ...(slowest.length === 0 ? [] : ["slowest tests", ...slowest, ""]),
    "phases",
    ...rows,
    "",
    ...renderFailures(phases.flatMap(({ failures }) => failures)),
    `${sum(({ passed }) => passed)} passed, ${sum(({ failed }) => failed)} failed`,
    "",
  ].join("\n");
}

function renderFailures(failures: readonly Failure[]): readonly string[] {
  if (failures.length === 0) return [];
  const blocks = failures.flatMap(({ title, file, text }, at) => {
    const reason = at < reasonCount ? text : [];
    const cut = reason.length > reasonLines ? [`... and ${reason.length - reasonLines} lines above`] : [];
    const lines = [...reason.slice(0, reasonLines), ...cut].map((line) => `      ${line}`.trimEnd());
    return [`  ✘ ${title}`, ...(file === undefined ? [] : [`    ${file}`]), ...lines, ""];
  });
  return ["failures", ...blocks];
}
