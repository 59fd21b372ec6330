import { configurationCheck } from "./configuration.ts";
import { exportsCheck } from "./exports.ts";
import { fileSizeCheck } from "./file-size.ts";
import { forbiddenCheck } from "./forbidden.ts";
import { generatedCheck } from "./generated.ts";
import { importsCheck } from "./imports.ts";
import { linksCheck } from "./links.ts";
import type { Check, Problem } from "./problem.ts";
import { formatAndLintCheck, typesCheck } from "./tool.ts";

/** The dear ones first: they run as processes beside the others. */
const checks: readonly Check[] = [
  typesCheck,
  formatAndLintCheck,
  generatedCheck,
  importsCheck,
  exportsCheck,
  fileSizeCheck,
  forbiddenCheck,
  configurationCheck,
  linksCheck,
];

export interface CheckReport {
  readonly name: string;
  readonly problems: readonly Problem[];
  readonly note: string;
  readonly durationMs: number;
}

/** Runs every check of the house; one that cannot look counts as a problem. */
export function runChecks(root: string): Promise<readonly CheckReport[]> {
  return Promise.all(checks.map((check) => runCheck(check, root)));
}

async function runCheck(check: Check, root: string): Promise<CheckReport> {
  const startMs = performance.now();
  const done = (problems: readonly Problem[], note = ""): CheckReport => {
    return { name: check.name, problems, note, durationMs: performance.now() - startMs };
  };
  try {
    const { problems, note } = await check.run(root);
    return done(problems, note);
  } catch (thrown) {
    return done([{ file: check.name, text: thrown instanceof Error ? thrown.message : String(thrown) }]);
  }
}

/** One line for a check, its problems below. */
export function renderReport({ name, problems, note, durationMs }: CheckReport): string {
  const mark = problems.length === 0 ? "✔" : "✘";
  const line =
    `  ${mark} ${name.padEnd(16)} ${`${(durationMs / 1000).toFixed(1)} s`.padStart(6)}  ${note}`.trimEnd();
  return [line, ...problems.map(({ file, text }) => `      ${file}: ${text}`)].join("\n");
}

if (import.meta.main) {
  const reports = await runChecks(`${import.meta.dirname}/..`);
  process.stdout.write(`${reports.map(renderReport).join("\n")}\n`);
  process.exitCode = reports.some(({ problems }) => problems.length > 0) ? 1 : 0;
}
