import { type Comparison, tally } from "./comparison.ts";
import type { SpecResult } from "./ginkgo-report.ts";

const MESSAGE_LINES = 6;

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

/** The specs that failed, those with the same reason together, the most frequent reason first. */
export function renderFailures(handler: string, specs: readonly SpecResult[], log: string): string {
  const failed = specs.filter(({ state }) => state === "failed");
  if (failed.length === 0) return "";
  const causes = Map.groupBy(failed, ({ message }) => causeOf(message));
  const groups = [...causes].sort(([, left], [, right]) => right.length - left.length);
  const text = groups.map(([cause, members]) => {
    const names = members.map(({ name, seconds }) => `  ${name}  ${seconds.toFixed(1)} s\n`);
    return `${names.join("")}      ${cause}\n`;
  });
  return `failed with ${handler} (${log}):\n${text.join("")}\n`;
}

/** The first lines of a reason, without what differs from spec to spec. */
export function causeOf(message: string): string {
  const [said = ""] = message.split("Unexpected error:");
  return said
    .replace(/\b[0-9a-f]{8}-[0-9a-f-]{27}\b|\b[0-9a-f]{64}\b|0x[0-9a-f]{6,}/g, "…")
    .replace(/^[A-Z][a-z]{2} +\d+ [\d:.]+: /, "")
    .trim()
    .split("\n")
    .slice(0, MESSAGE_LINES)
    .join("\n      ");
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
