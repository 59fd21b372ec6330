import { copyFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import { nodeInventory } from "../harness/fixture.ts";
import { startNode, TB_SIZE_FOR_CONTAINERS_MIB, type TestNode } from "../harness/node.ts";
import { runOk } from "../harness/run.ts";
import { settledDifference } from "../harness/settle.ts";
import type { SuiteResult } from "./ginkgo-report.ts";
import { critestImages } from "./images.ts";
import { type CritestCounts, report } from "./report.ts";
import { removeSegments, segments } from "./shared-memory.ts";
import { readSkips, type Skip, skipsOf } from "./skip-list.ts";
import { logOf, runSuite } from "./suite.ts";

/** What others are compared with comes first. */
export const HANDLERS: readonly string[] = ["runc", "tapir"];
/** Two processes keep a machine of two cores busy; more only wait for each other. */
export const DEFAULTS = { handlers: HANDLERS, processes: 2, focus: undefined, minutes: 28 } as const;
const SKIPS = join(import.meta.dirname, "skip.txt");
const IMPORT_MS = 60_000;
const INVENTORY_MS = 60_000;
const REMOVE_MS = 120_000;
const LINE_MS = 15_000;

export interface CritestOptions {
  readonly handlers: readonly string[];
  /** How many specs run at a time. */
  readonly processes: number;
  /** Runs only specs whose name this matches. */
  readonly focus: string | undefined;
  /** For all handlers together: CI has half an hour. */
  readonly minutes: number;
}

/** Runs critest with each handler on a node of its own making, prints what came of it and compares. */
export async function runCritest(options: CritestOptions = DEFAULTS): Promise<CritestCounts> {
  const skips = readSkips(readFileSync(SKIPS, "utf8"), "skip.txt");
  const results = new Map<string, SuiteResult>();
  const segmentsBefore = segments();
  const over = deadlineIn(options.minutes * 60_000, "run critest");
  let leftOver: readonly string[] = [];
  try {
    await using node = await startNode({ tbSizeMiB: TB_SIZE_FOR_CONTAINERS_MIB });
    await importImages(node);
    try {
      const before = await nodeInventory(node, deadlineIn(INVENTORY_MS, "take the inventory"));
      for (const handler of options.handlers) {
        results.set(handler, await runHandler(node, handler, options, skipsOf(skips, handler), over));
      }
      keepConsoles(node);
      await node.removePods(deadlineIn(REMOVE_MS, "remove the pods"));
      const settling = deadlineIn(INVENTORY_MS, "settle");
      leftOver = await settledDifference(before, () => nodeInventory(node, settling), settling);
    } finally {
      // What the runtimes said goes with the node.
      copyFileSync(node.containerd.log, logOf("containerd"));
    }
  } finally {
    // A spec makes one to look for it in a container, and leaves it.
    await removeSegments(segments().filter((id) => !segmentsBefore.includes(id)));
  }
  return report(HANDLERS, { results, leftOver }, options.focus, skips);
}

/** Pods that are still there are those of specs that failed: what their guests said goes with them. */
function keepConsoles({ stateDirectory }: TestNode): void {
  const pods = join(stateDirectory, "k8s.io");
  for (const pod of readdirSync(pods)) {
    const console = join(pods, pod, "console.log");
    if (existsSync(console)) copyFileSync(console, logOf(`console-${pod.slice(0, 12)}`));
  }
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
  { processes, focus }: CritestOptions,
  skips: readonly Skip[],
  over: Deadline,
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
      deadline: over.within(over.remainingMs(), `run critest with ${handler}`),
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
