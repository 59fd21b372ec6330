import { spawn } from "node:child_process";
import { createWriteStream, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import type { Deadline } from "../../sys/deadline.ts";
import { TapirError, wrapError } from "../../sys/error.ts";
import { inNetns } from "../../sys/netns.ts";
import { Code } from "../../sys/status.ts";
import type { TestNode } from "../harness/node.ts";
import { built, PROJECT } from "../harness/project.ts";
import { readGinkgoReport, type SuiteResult } from "./ginkgo-report.ts";
import { CHOSEN_IMAGES } from "./images.ts";
import type { Skip } from "./skip-list.ts";

export interface SuiteRun {
  readonly node: TestNode;
  readonly handler: string;
  /** How many specs run at a time. */
  readonly processes: number;
  readonly skips: readonly Skip[];
  /** Runs only the specs whose name this matches. */
  readonly focus: string | undefined;
  /** Called with every line of ginkgo's. */
  readonly onLine: (line: string) => void;
  readonly deadline: Deadline;
}

const BUILD = join(PROJECT, "build/critest");
/** What ginkgo gets to end by itself and write its report. */
const GRACE_MS = 60_000;
/** The longest wait of a spec for one answer of the runtime. */
const ANSWER = "2m";

/** Where the report of a handler's last whole run lies; that of a run with a focus lies beside it. */
export function reportOf(handler: string, focus?: string): string {
  return join(BUILD, focus === undefined ? handler : `${handler}-focus`, "report.json");
}
export const logOf = (handler: string): string => join(PROJECT, "build/logs", `critest-${handler}.log`);

/** Runs critest with a runtime handler to its end. Specs that fail are a result; no report is an error. */
export async function runSuite(run: SuiteRun): Promise<SuiteResult> {
  const { handler, focus, deadline } = run;
  const report = reportOf(handler, focus);
  rmSync(report, { force: true });
  for (const path of [report, logOf(handler)]) mkdirSync(dirname(path), { recursive: true });
  const exitCode = await runGinkgo(run);
  try {
    return readGinkgoReport(readFileSync(report, "utf8"));
  } catch (error) {
    const cause = wrapError(error, { operation: "read", object: report });
    throw new TapirError({
      code: deadline.signal.aborted ? Code.DEADLINE_EXCEEDED : Code.UNKNOWN,
      operation: "run",
      object: `critest with ${handler}`,
      cause: `ginkgo ended with ${exitCode} and left no report: ${cause.message}`,
      hint: `see ${logOf(handler)}`,
    });
  }
}

/** Resolves with the exit code, or null when ginkgo had to be killed. */
async function runGinkgo(run: SuiteRun): Promise<number | null> {
  const { node, deadline } = run;
  // The suite reaches pods and host ports as a program on the node does. What it leaves in the temporary directory
  // goes with the node.
  const child = inNetns(node.netns, () =>
    spawn(built(join(BUILD, "ginkgo")), arguments_(run), {
      detached: true,
      env: { ...process.env, TMPDIR: node.directory },
      stdio: ["ignore", "pipe", "pipe"],
    }),
  );
  const log = createWriteStream(logOf(run.handler));
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on("line", (line) => {
      log.write(`${line}\n`);
      run.onLine(line);
    });
  }
  const ended = new Promise<number | null>((resolve, reject) => {
    child.on("error", (error) => reject(wrapError(error, { operation: "run", object: "ginkgo" })));
    child.on("close", resolve);
  });
  const killAll = (): void => {
    // Its processes are in a group of their own.
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, "SIGKILL");
  };
  deadline.signal.addEventListener("abort", killAll, { once: true });
  try {
    return await ended;
  } finally {
    deadline.signal.removeEventListener("abort", killAll);
    log.end();
  }
}

function arguments_({ node, handler, processes, skips, focus, deadline }: SuiteRun): string[] {
  const endpoint = `unix://${node.containerd.socket}`;
  const images = join(node.directory, "critest-images.yaml");
  writeFileSync(images, JSON.stringify(CHOSEN_IMAGES));
  const seconds = Math.max(1, Math.floor((deadline.remainingMs() - GRACE_MS) / 1000));
  return [
    `--procs=${processes}`,
    `--timeout=${seconds}s`,
    `--output-dir=${dirname(reportOf(handler, focus))}`,
    "--json-report=report.json",
    "--no-color",
    "-v",
    // What hangs says where.
    "--poll-progress-after=90s",
    ...skips.map(({ pattern }) => `--skip=${pattern.source}`),
    ...(focus === undefined ? [] : [`--focus=${focus}`]),
    built(join(BUILD, "critest.test")),
    "--",
    `-runtime-endpoint=${endpoint}`,
    `-image-endpoint=${endpoint}`,
    `-runtime-handler=${handler}`,
    `-runtime-service-timeout=${ANSWER}`,
    `-test-images-file=${images}`,
  ];
}
