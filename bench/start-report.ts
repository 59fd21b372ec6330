import { table } from "../cli/table.ts";
import { waterfall } from "../cli/waterfall.ts";
import type { TimelineStep } from "../shim/state/timeline.ts";
import { FLOORS } from "./floor.ts";
import { medianOf, minimumOf, type Outcome, valuesOf } from "./measure.ts";
import { writeResult } from "./results.ts";
import type { ShimCost } from "./shim-cost.ts";
import { medianSteps, WAYS, type Way } from "./start-arms.ts";
import { conclude } from "./verdict.ts";

const COLUMNS = 110;

/** What the benchmark found. */
export interface Findings {
  readonly outcome: Outcome;
  readonly start: Outcome;
  readonly steps: ReadonlyMap<Way, (readonly TimelineStep[])[]>;
  readonly cost: ShimCost;
  readonly instructions: Record<string, number>;
}

/** Prints the tables and writes `bench/results/start.json`. */
export function reportStart({ outcome, start, steps, cost, instructions }: Findings): void {
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
  const floors = Object.keys(FLOORS);
  const ways = Object.keys(WAYS) as Way[];
  const arms = [...floors, ...ways];
  const rows = arms.map((arm) => [
    arm,
    ms(answered(arm)),
    ms(minimumOf(outcome, arm, "answeredMs")),
    ms(medianOf(outcome, arm, "runpMs")),
    (answered(arm) / answered("floor")).toFixed(2).padStart(7),
  ]);
  print(table(["ARM", " ANSWER", "    MIN", "   RUNP", "x FLOOR"], rows));
  const phases = ways.flatMap((way) => {
    const starts = medianSteps(steps.get(way) ?? []);
    return starts.length === 0 ? [] : [{ way, starts, wholeMs: answered(way) }];
  });
  for (const { way, starts, wholeMs } of phases) {
    print(`${way}, medians; shares of the time to the answer\n`);
    process.stdout.write(waterfall(starts, COLUMNS, { shareOfMs: wholeMs }));
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
      "",
    ].join("\n"),
  );
  const allSteps = phases.flatMap(({ way, starts, wholeMs }) =>
    starts.map(({ name, startMs, endMs }) => ({ name: `${way}: ${name}`, ms: endMs - startMs, wholeMs })),
  );
  const path = writeResult("start", {
    failures: outcome.failures.length + start.failures.length,
    rounds: outcome.rounds,
    ratios,
    phases_ms: {
      ...Object.fromEntries(allSteps.map(({ name, ms: phase }) => [name, phase])),
      ...Object.fromEntries(arms.map((arm) => [`answered: ${arm}`, answered(arm)])),
      ...Object.fromEntries(ways.map((arm) => [`runp: ${arm}`, medianOf(outcome, arm, "runpMs")])),
      runp_cold: medianOf(outcome, "cold", "runpMs"),
      runp_runc: medianOf(outcome, "runc", "runpMs"),
      shim_start: medianOf(start, "shim start", "startMs"),
      node: nodeMs,
    },
    phase_shares: Object.fromEntries(allSteps.map(({ name, ms: phase, wholeMs }) => [name, phase / wholeMs])),
    ...(cost.executed === undefined ? {} : { exec_count: processes.length }),
    guest_instructions_millions: instructions,
    table: { shim_cpu_ms: cost.cpuMs },
    runs: {
      ...Object.fromEntries(arms.map((arm) => [arm, valuesOf(outcome, arm, "answeredMs")])),
      shim_start: valuesOf(start, "shim start", "startMs"),
      node: valuesOf(start, "node -e 0", "wallMs"),
    },
  });
  print(`written to ${path}\n`);
  conclude([outcome, start]);
}

const print = (text: string): void => void process.stdout.write(`\n${text}`);

/** The launcher, the processes it forks, and its Node. */
const isShim = (program: string): boolean => /containerd-shim-tapir-v2$|\/node$|setsid$/.test(program);

function numbers(values: Readonly<Record<string, number>>, digits: number): string {
  return Object.entries(values)
    .map(([name, value]) => `${name} ${value.toFixed(digits)}`)
    .join(", ");
}
