/** What one line of ava's report says. */
export type AvaLine =
  | { readonly kind: "passed"; readonly title: string; readonly durationMs: number }
  | { readonly kind: "failed"; readonly title: string }
  | { readonly kind: "skipped"; readonly title: string }
  | { readonly kind: "other" };

/** What a run of ava came to. */
export interface AvaCount {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/**
 * Reads one line of ava's default report (its TAP report breaks off when a test times out or calls process.exit).
 * A worker that crashed, a file without tests and a time-out are lines of their own and count as failed.
 */
export function readAvaLine(line: string): AvaLine {
  const passed = line.match(/^ {2}✔ (.*?)(?: \((\d[\d.a-z ]*)\))?$/);
  if (passed !== null)
    return { kind: "passed", title: passed[1] ?? "", durationMs: readDuration(passed[2] ?? "0ms") };
  const failed = line.match(/^ {2}✘ (?:\[fail\]: )?(.*)$/);
  if (failed !== null) return { kind: "failed", title: failed[1] ?? "" };
  const skipped = line.match(/^ {2}- \[(?:skip|todo)\] (.*)$/);
  if (skipped !== null) return { kind: "skipped", title: skipped[1] ?? "" };
  return { kind: "other" };
}

/** "301ms", "1.2s", "1m 3.5s" in milliseconds. */
function readDuration(text: string): number {
  const factors: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
  return [...text.matchAll(/([\d.]+)(ms|s|m|h)/g)].reduce((sum, [, amount, unit]) => {
    return sum + Number(amount) * (factors[unit ?? ""] ?? 0);
  }, 0);
}

/**
 * The count of a whole run. ava's exit code has the last word: a run that failed without naming a test, or that
 * ended well without running one, counts as one failure.
 */
export function countAva(lines: readonly AvaLine[], exitCode: number | null): AvaCount {
  const count = (kind: AvaLine["kind"]): number => lines.filter((line) => line.kind === kind).length;
  const passed = count("passed");
  const failed = count("failed");
  const unnamed = failed === 0 && (exitCode !== 0 || passed === 0) ? 1 : 0;
  return { passed, failed: failed + unnamed, skipped: count("skipped") };
}
