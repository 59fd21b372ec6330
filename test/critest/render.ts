import { type Comparison, tally } from "./comparison.ts";
import type { SpecResult } from "./ginkgo-report.ts";

const MESSAGE_LINES = 4;

/** One line per handler: what it came to, and the sum of its specs' times. */
export function renderTable(results: ReadonlyMap<string, readonly SpecResult[]>): string {
  const rows = [...results].map(([handler, specs]) => {
    const { passed, failed, skipped } = tally(specs);
    const seconds = specs.reduce((sum, spec) => sum + spec.seconds, 0);
    return [handler, passed, failed, skipped, `${seconds.toFixed(0)} s`];
  });
  const table = [["", "passed", "failed", "skipped", "specs' time"], ...rows];
  const lines = table.map((row) =>
    row
      .map((cell) => String(cell).padStart(11))
      .join(" ")
      .trimEnd(),
  );
  return `\n${lines.join("\n")}\n\n`;
}

/** The specs that failed, each with the first lines of its reason. */
export function renderFailures(handler: string, specs: readonly SpecResult[], log: string): string {
  const failed = specs.filter(({ state }) => state === "failed");
  if (failed.length === 0) return "";
  return `failed with ${handler} (${log}):\n${failed.map(renderSpec).join("")}\n`;
}

/** The specs in which a handler differs from the yardstick. */
export function renderComparison(
  handler: string,
  yardstick: string,
  { worse, leftOut, both }: Comparison,
): string {
  const part = (title: string, lines: readonly string[]): string =>
    lines.length === 0 ? "" : `${title}:\n${lines.map((line) => `  ${line}\n`).join("")}\n`;
  return [
    part(
      `left out with ${handler}, pass with ${yardstick}`,
      leftOut.map(({ name, reason }) => `${name}: ${reason}`),
    ),
    part(
      `fail with both`,
      both.map(({ name }) => name),
    ),
    part(
      `pass with ${yardstick} and not with ${handler}`,
      worse.map(({ name }) => name),
    ),
    worse.length === 0 ? `every spec that passes with ${yardstick} passes with ${handler}\n` : "",
  ].join("");
}

function renderSpec({ name, seconds, message }: SpecResult): string {
  const lines = message.split("\n").slice(0, MESSAGE_LINES);
  return `  ${name}  ${seconds.toFixed(1)} s\n${lines.map((line) => `      ${line}\n`).join("")}`;
}
