// Requires root, containerd, runc, CNI plugins, what the set-up puts below build/, and `node setup/critest.ts`.
import { copyFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { deadlineIn } from "../../sys/deadline.ts";
import { reasonOf } from "../../sys/error.ts";
import { startNode, type TestNode } from "../harness/node.ts";
import { runOk } from "../harness/run.ts";
import { compare, tally } from "./comparison.ts";
import { readGinkgoReport, type SpecResult, type SuiteResult } from "./ginkgo-report.ts";
import { critestImages } from "./images.ts";
import { renderComparison, renderFailures, renderTable } from "./render.ts";
import { removeSegments, segments } from "./shared-memory.ts";
import { readSkips, type Skip, skipsOf, staleSkips } from "./skip-list.ts";
import { logOf, reportOf, runSuite, suiteDeadline } from "./suite.ts";

const YARDSTICK = "runc";
const HANDLERS = [YARDSTICK, "tapir"];
const SKIPS = join(import.meta.dirname, "skip.txt");
const RESULTS = join(import.meta.dirname, "results.json");
const IMPORT_MS = 60_000;
const LINE_MS = 15_000;

const USAGE = `node test/critest/run.ts [runc] [tapir] [--procs N] [--focus REGEX] [--minutes N]
Runs critest with the handlers named (both without one) and compares; a handler that is not named is compared with
its last run.
`;

interface Options {
  readonly handlers: readonly string[];
  readonly processes: number;
  readonly focus: string | undefined;
  readonly minutes: number;
}

function readOptions(): Options {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      procs: { type: "string", default: "3" },
      focus: { type: "string" },
      minutes: { type: "string", default: "25" },
    },
  });
  const unknown = positionals.find((name) => !HANDLERS.includes(name));
  const [processes, minutes] = [Number(values.procs), Number(values.minutes)];
  if (unknown !== undefined || !(processes >= 1) || !(minutes > 0)) throw new Error(USAGE);
  const handlers = HANDLERS.filter((name) => positionals.length === 0 || positionals.includes(name));
  return { handlers, processes, focus: values.focus, minutes };
}

async function main(): Promise<void> {
  const options = readOptions();
  const skips = readSkips(readFileSync(SKIPS, "utf8"), "skip.txt");
  const results = new Map<string, SuiteResult>();
  const before = segments();
  try {
    await using node = await startNode();
    await importImages(node);
    try {
      for (const handler of options.handlers) {
        results.set(handler, await runHandler(node, handler, options, skipsOf(skips, handler)));
      }
    } finally {
      // What the runtimes said goes with the node.
      copyFileSync(node.containerd.log, logOf("containerd"));
    }
  } finally {
    // A spec makes one to look for it in a container, and leaves it.
    await removeSegments(segments().filter((id) => !before.includes(id)));
  }
  report(results, options, skips);
}

async function importImages(node: TestNode): Promise<void> {
  const archive = join(node.directory, "critest.tar");
  writeFileSync(archive, critestImages());
  const args = ["--address", node.containerd.socket, "--namespace", "k8s.io", "images", "import", archive];
  await runOk({ command: "ctr", args, deadline: deadlineIn(IMPORT_MS, "import critest's images") });
}

async function runHandler(
  node: TestNode,
  handler: string,
  { processes, focus, minutes }: Options,
  skips: readonly Skip[],
): Promise<SuiteResult> {
  const started = performance.now();
  const done = { passed: 0, failed: 0 };
  const show = (): void => {
    const seconds = ((performance.now() - started) / 1000).toFixed(0);
    process.stdout.write(`  ... ${handler}  ${done.passed} passed, ${done.failed} failed  ${seconds} s\n`);
  };
  const ticker = setInterval(show, LINE_MS);
  try {
    return await runSuite({
      node,
      handler,
      processes,
      focus,
      skips,
      deadline: suiteDeadline(minutes, handler),
      onLine: (line) => {
        const outcome = /^• \[(\w)/.exec(line)?.[1];
        // Seconds after a success, a word in capitals after anything else.
        if (outcome !== undefined) done[/\d/.test(outcome) ? "passed" : "failed"]++;
      },
    });
  } finally {
    clearInterval(ticker);
    show();
  }
}

/** Prints what was run, compares it with the yardstick, and keeps the counts of a whole run. */
function report(run: ReadonlyMap<string, SuiteResult>, { focus }: Options, skips: readonly Skip[]): void {
  const results = new Map<string, readonly SpecResult[]>();
  for (const handler of HANDLERS) {
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
    process.stdout.write(`the run with ${handler} is not complete: ${broken}\n`);
    process.exitCode = 1;
  }
  const yardstick = results.get(YARDSTICK);
  for (const [handler, specs] of results) {
    if (handler === YARDSTICK || yardstick === undefined) continue;
    const comparison = compare(yardstick, specs, skipsOf(skips, handler));
    process.stdout.write(renderComparison(handler, YARDSTICK, comparison));
    if (comparison.worse.length > 0) process.exitCode = 1;
  }
  const stale = focus === undefined ? staleSkips(skips, [...results.values()].flat()) : [];
  for (const { pattern } of stale) process.stdout.write(`skip.txt: no spec matches ${pattern.source}\n`);
  if (stale.length > 0) process.exitCode = 1;
}

/** Of the last whole run, unless it broke off. */
function lastRun(handler: string): readonly SpecResult[] | undefined {
  const path = reportOf(handler);
  if (!existsSync(path)) return undefined;
  const { specs, broken } = readGinkgoReport(readFileSync(path, "utf8"));
  return broken === "" ? specs : undefined;
}

try {
  await main();
} catch (error) {
  process.stderr.write(`critest: ${reasonOf(error)}\n`);
  process.exitCode = 1;
}
