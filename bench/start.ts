import { join } from "node:path";
import { table } from "../cli/table.ts";
import { waterfall } from "../cli/waterfall.ts";
import { step } from "../setup/step.ts";
import type { TimelineStep } from "../shim/state/timeline.ts";
import { deadlineIn } from "../sys/deadline.ts";
import { type BenchNode, FACTORY, startBenchNode } from "./bench-node.ts";
import { floorArm } from "./floor.ts";
import { guestInstructions } from "./guest-instructions.ts";
import { interleave, medianOf, minimumOf, type Outcome, valuesOf } from "./measure.ts";
import { readRounds } from "./options.ts";
import { writeResult } from "./results.ts";
import { measureShimCost, type ShimCost } from "./shim-cost.ts";
import { shimStartArms } from "./shim-start.ts";
import { medianSteps, startArms, startCache, WAYS, type Way } from "./start-arms.ts";

/**
 * `npm run bench:start [-- --rounds N]`: how long a pod takes until its guest answers on the pod's address, beside a bare
 * restore of the same guest, beside runc, and beside an empty Node; and where the time goes.
 */
const rounds = readRounds(10);
const BUDGET_MS = 3.5 * 60_000;
const FIRST_MS = 180_000;
const LIVES = 5;
const PAIRS = 15;
const COLUMNS = 110;

async function benchPods(): Promise<{ outcome: Outcome; steps: Map<Way, (readonly TimelineStep[])[]> }> {
  await using node = await startBenchNode();
  const steps = new Map<Way, (readonly TimelineStep[])[]>();
  using floor = await prepare(node);
  const cache = await startCache(node);
  try {
    const arms = [floor, ...startArms(node, cache, steps)];
    return { outcome: await interleave(arms, { rounds, budgetMs: BUDGET_MS }), steps };
  } finally {
    await cache.end("SIGTERM", deadlineIn(FIRST_MS, "end the cache"));
  }
}

/** The first pods make what later ones find: chains of iptables, templates. */
async function prepare(node: BenchNode): Promise<ReturnType<typeof floorArm>> {
  const deadline = deadlineIn(FIRST_MS, "start the first pods");
  let arm: ReturnType<typeof floorArm> | undefined;
  let names = 0;
  await step("first pods: they make the template", async () => {
    node.configure(FACTORY.warm);
    await node.crictl.runp(node.podConfig("first"), "tapir", deadline);
    const second = await node.crictl.runp(node.podConfig("second"), "tapir", deadline);
    arm = floorArm(node.factory, second, node.directory);
    for (const { runtime, factory } of Object.values(WAYS)) {
      node.configure(...factory);
      await node.crictl.runp(node.podConfig(`first-${names++}`), runtime, deadline);
    }
    await node.removePods(deadline);
    return undefined;
  });
  if (arm === undefined) throw new Error("there is no floor");
  return arm;
}

async function benchShimStart(): Promise<Outcome> {
  using shim = shimStartArms();
  return await interleave(shim.arms, { rounds: PAIRS, budgetMs: BUDGET_MS });
}

async function bench(): Promise<void> {
  const start = await benchShimStart();
  const { outcome, steps } = await benchPods();
  let cost: ShimCost | undefined;
  await step(`${LIVES} lives of a pod, with an account of the shim's CPU time`, async () => {
    cost = await measureShimCost(LIVES);
    return undefined;
  });
  let instructions: Record<string, number> = {};
  await step("instructions of the guest's way to a ready agent", async () => {
    instructions = await guestInstructions(deadlineIn(FIRST_MS, "count the guest's instructions"));
    return undefined;
  });
  if (cost !== undefined) report({ outcome, start, steps, cost, instructions });
}

interface Findings {
  readonly outcome: Outcome;
  readonly start: Outcome;
  readonly steps: ReadonlyMap<Way, (readonly TimelineStep[])[]>;
  readonly cost: ShimCost;
  readonly instructions: Record<string, number>;
}

function report({ outcome, start, steps, cost, instructions }: Findings): void {
  const answered = (arm: string): number => medianOf(outcome, arm, "answeredMs");
  const template = answered("template+warm");
  const nodeMs = medianOf(start, "node -e 0", "wallMs");
  const ratios = {
    runp_template_over_cold: template / answered("cold"),
    runp_template_over_floor: template / answered("floor"),
    runp_template_over_runc: template / answered("runc"),
    runp_hot_over_floor: answered("template+hot") / answered("floor"),
    runp_cow_over_floor: answered("template+cow") / answered("floor"),
    runp_cache_over_floor: answered("cache") / answered("floor"),
    runp_cold_over_runc: answered("cold") / answered("runc"),
    start_over_node: medianOf(start, "shim start", "startMs") / nodeMs,
    delete_over_node: medianOf(start, "shim start", "deleteMs") / nodeMs,
    shim_cpu_over_node: cost.overNode,
  };
  const ms = (value: number): string => value.toFixed(0).padStart(7);
  const arms = ["floor", ...Object.keys(WAYS)];
  const rows = arms.map((arm) => [
    arm,
    ms(answered(arm)),
    ms(minimumOf(outcome, arm, "answeredMs")),
    ms(medianOf(outcome, arm, "runpMs")),
    (answered(arm) / answered("floor")).toFixed(2).padStart(7),
  ]);
  print(table(["ARM", " ANSWER", "    MIN", "   RUNP", "x FLOOR"], rows));
  for (const [way, starts] of steps) {
    if (way !== "runc") print(`${way}, medians\n${waterfall(medianSteps(starts), COLUMNS)}`);
  }
  print(
    table(
      ["RATIO", "        "],
      Object.entries(ratios).map(([name, value]) => [name, value.toFixed(3).padStart(8)]),
    ),
  );
  const processes = (cost.executed ?? []).filter(({ programs }) => !programs.every(isShim));
  print(
    [
      `shim's CPU ms: ${numbers(cost.cpuMs, 0)}`,
      `executed on the start path besides the shim: ${processes.map(({ programs }) => programs.join(" -> ")).join("; ") || cost.reason}`,
      `guest instructions, millions: ${numbers(instructions, 0)}`,
      `failures: ${outcome.failures.length + start.failures.length}`,
      ...outcome.failures,
      ...start.failures,
      "",
    ].join("\n"),
  );
  const allSteps = [...steps].flatMap(([way, starts]) =>
    medianSteps(starts).map((one): [string, number] => [`${way}: ${one.name}`, one.endMs - one.startMs]),
  );
  const path = writeResult("start", {
    failures: outcome.failures.length + start.failures.length,
    ratios,
    phases_ms: {
      ...Object.fromEntries(allSteps),
      ...Object.fromEntries(arms.map((arm) => [`answered: ${arm}`, answered(arm)])),
      ...Object.fromEntries(arms.slice(1).map((arm) => [`runp: ${arm}`, medianOf(outcome, arm, "runpMs")])),
      runp_cold: medianOf(outcome, "cold", "runpMs"),
      runp_runc: medianOf(outcome, "runc", "runpMs"),
      shim_start: medianOf(start, "shim start", "startMs"),
      node: nodeMs,
    },
    ...(cost.executed === undefined ? {} : { exec_count: processes.length }),
    guest_instructions_millions: instructions,
    table: { shim_cpu_ms: cost.cpuMs },
    runs: {
      ...Object.fromEntries(arms.map((arm) => [arm, valuesOf(outcome, arm, "answeredMs")])),
      shim_start: valuesOf(start, "shim start", "startMs"),
      node: valuesOf(start, "node -e 0", "wallMs"),
    },
  });
  print(`written to ${join(path)}\n`);
}

const print = (text: string): void => void process.stdout.write(`\n${text}`);

/** The launcher, the processes it forks, and its Node. */
const isShim = (program: string): boolean => /containerd-shim-tapir-v2$|\/node$|setsid$/.test(program);

function numbers(values: Readonly<Record<string, number>>, digits: number): string {
  return Object.entries(values)
    .map(([name, value]) => `${name} ${value.toFixed(digits)}`)
    .join(", ");
}

await bench();
