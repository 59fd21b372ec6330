import { spawn } from "node:child_process";
import { dirname, join } from "node:path";
import { renderReport, runChecks } from "../checks/check.ts";
import { listSources } from "../checks/source.ts";
import { setUpCritest } from "../setup/critest.ts";
import { reasonOf } from "../sys/error.ts";
import { runCritest } from "./critest/critest.ts";
import type { CritestCounts } from "./critest/report.ts";
import { removeTemplate } from "./harness/template.ts";
import { type AvaRun, runAva } from "./runner/ava.ts";
import type { AvaLine } from "./runner/ava-output.ts";
import type { Failure } from "./runner/failures.ts";
import { type PhaseResult, renderSummary, seconds } from "./runner/report.ts";
import { missingRequirements } from "./runner/requirements.ts";
import { type Selection, select } from "./runner/selection.ts";

/**
 * `npm test`: house checks, unit tests, integration tests, critest. Arguments choose a part: `checks`, `unit`,
 * `integration`, `critest`, `demo`, test files or folders. The very last line is `N passed, N failed`; the exit code is 0 when nothing failed.
 */
const root = dirname(import.meta.dirname);
const print = (text: string): boolean => process.stdout.write(`${text}\n`);

async function demoPhase(): Promise<PhaseResult> {
  print("demo");
  const startMs = performance.now();
  const child = spawn("npm", ["run", "--silent", "demo"], {
    cwd: root,
    stdio: ["ignore", "inherit", "inherit"],
  });
  const exitCode = await new Promise<number | null>((resolve) => {
    child.on("error", () => resolve(null));
    child.on("close", resolve);
  });
  const failed = exitCode === 0 ? 0 : 1;
  const title = `npm run demo ended with ${exitCode}`;
  if (failed > 0) print(`  ✘ ${title}`);
  const failures = failed > 0 ? [plain(title)] : [];
  const durationMs = performance.now() - startMs;
  return { name: "demo", passed: 1 - failed, failed, skipped: 0, failures, durationMs, slow: [] };
}

async function checksPhase(): Promise<PhaseResult> {
  print("checks");
  const startMs = performance.now();
  const reports = await runChecks(root);
  for (const report of reports) print(renderReport(report));
  const failures = reports
    .filter(({ problems }) => problems.length > 0)
    .map(({ name, problems }) =>
      plain(
        name,
        problems.map(({ file, text }) => `${file}: ${text}`),
      ),
    );
  const failed = failures.length;
  const durationMs = performance.now() - startMs;
  return {
    name: "checks",
    passed: reports.length - failed,
    failed,
    skipped: 0,
    failures,
    durationMs,
    slow: [],
  };
}

async function unitPhase(files: readonly string[]): Promise<PhaseResult> {
  // What Node made of a file is kept for the next one that imports it: a third of the time.
  return avaPhase("unit", files, {
    options: [],
    env: { NODE_COMPILE_CACHE: join(root, "build/compile-cache") },
  });
}

/** One file after the other: each compares the machine before and after. */
async function integrationPhase(files: readonly string[]): Promise<PhaseResult> {
  const unable = unableTo("integration");
  if (unable !== undefined) return unable;
  const onLine = (line: AvaLine): void => {
    if (line.kind === "passed") print(`  ✔ ${line.title}  ${seconds(line.durationMs)}`);
    if (line.kind === "failed") print(`  ✘ ${line.title}`);
  };
  const cache = `--node-arguments=--import=${join(root, "test/runner/compile-cache.ts")}`;
  return avaPhase("integration", files, { options: ["--concurrency=1", "--timeout=5m", cache], onLine });
}

/** A suite that nobody here wrote, with this runtime and with runc. */
async function critestPhase(): Promise<PhaseResult> {
  const unable = unableTo("critest");
  if (unable !== undefined) return unable;
  print("critest");
  const startMs = performance.now();
  const runAll = async (): Promise<CritestCounts> => {
    await setUpCritest();
    return runCritest();
  };
  const counts = await runAll().catch((error: unknown) => {
    print(`  ✘ ${reasonOf(error)}`);
    return { passed: 0, failed: 1, skipped: 0, problems: [reasonOf(error)] };
  });
  const failures = counts.problems.map((problem) => plain(`critest: ${problem}`));
  return { name: "critest", ...counts, failures, durationMs: performance.now() - startMs, slow: [] };
}

/** The result of a phase that this machine cannot run. */
function unableTo(phase: string): PhaseResult | undefined {
  const missing = missingRequirements();
  if (missing.length === 0) return undefined;
  print([`${phase} tests cannot run`, ...missing.map((line) => `  ✘ ${line}`)].join("\n"));
  const failures = missing.map((line) => plain(line));
  return { name: phase, passed: 0, failed: missing.length, skipped: 0, failures, durationMs: 0, slow: [] };
}

/** A failure that is of no test. */
function plain(title: string, text: readonly string[] = []): Failure {
  return { title, file: undefined, text };
}

async function avaPhase(
  name: string,
  files: readonly string[],
  how: Omit<AvaRun, "root" | "files">,
): Promise<PhaseResult> {
  print(`${name} tests (${files.length} files)`);
  const startMs = performance.now();
  const result = await runAva({ root, files, ...how });
  const { passed, failed, skipped, failures, slow } = result;
  const durationMs = performance.now() - startMs;
  if (failed > 0) print(result.output);
  print(`  ${failed === 0 ? "✔" : "✘"} ${passed} passed, ${failed} failed in ${seconds(durationMs)}`);
  return { name, passed, failed, skipped, failures, durationMs, slow };
}

async function main(selection: Selection): Promise<void> {
  const phases: PhaseResult[] = [];
  if (selection.demo) phases.push(await demoPhase());
  if (selection.checks) phases.push(await checksPhase());
  if (selection.unit.length > 0) phases.push(await unitPhase(selection.unit));
  try {
    if (selection.integration.length > 0) phases.push(await integrationPhase(selection.integration));
    if (selection.critest) phases.push(await critestPhase());
  } finally {
    if (selection.integration.length > 0 || selection.critest) removeTemplate();
  }
  process.stdout.write(renderSummary(phases));
  process.exitCode = phases.some(({ failed }) => failed > 0) ? 1 : 0;
}

try {
  await main(select(process.argv.slice(2), listSources(root)));
} catch (thrown) {
  print(`${thrown instanceof Error ? thrown.message : String(thrown)}\n\n0 passed, 1 failed`);
  process.exitCode = 1;
}
