import { readFileSync } from "node:fs";
import { join } from "node:path";
import { table } from "../cli/table.ts";
import { step } from "../setup/step.ts";
import { sandboxDirectory } from "../shim/state/directory.ts";
import { TIMELINE_FILE, type TimelineStep } from "../shim/state/timeline.ts";
import { type Deadline, deadlineIn } from "../sys/deadline.ts";
import { startNode, type TestNode } from "../test/harness/node.ts";
import { median } from "./median.ts";
import { writeResult } from "./results.ts";

/**
 * `npm run bench:start [-- <runs>]`: where the time of one sandbox's start goes, and `crictl runp` under runc on the
 * same machine beside it. Medians; runc and tapir take turns, so that a busy machine slows both.
 */
const RUNS = Math.max(1, Number(process.argv[2] ?? 3) || 3);
const RUN_DEADLINE_MS = 3 * 60_000;

interface Measurement {
  readonly runpMs: number;
  /** From the call of runp to the first answer on the pod's first address. */
  readonly pingMs: number;
  readonly steps: readonly TimelineStep[];
}

async function measure(
  node: TestNode,
  runtime: string,
  name: string,
  deadline: Deadline,
): Promise<Measurement> {
  const started = performance.now();
  const id = await node.crictl.runp(node.podConfig(name), runtime, deadline);
  const runpMs = performance.now() - started;
  const { addresses } = await node.crictl.inspectp(id, deadline);
  const [address = ""] = addresses;
  await node.ping(address, deadline);
  const pingMs = performance.now() - started;
  const steps = runtime === "tapir" ? readTimeline(node.stateDirectory, id) : [];
  await node.crictl.stopp(id, deadline);
  await node.crictl.rmp(id, deadline);
  return { runpMs, pingMs, steps };
}

function readTimeline(stateDirectory: string, id: string): TimelineStep[] {
  const path = join(sandboxDirectory(stateDirectory, "k8s.io", id), TIMELINE_FILE);
  return (JSON.parse(readFileSync(path, "utf8")) as { steps: TimelineStep[] }).steps;
}

async function measureAll(node: TestNode): Promise<{ runc: Measurement[]; tapir: Measurement[] }> {
  const runc: Measurement[] = [];
  const tapir: Measurement[] = [];
  const once = async (into: Measurement[], runtime: string, name: string): Promise<void> => {
    await step(name, async () => {
      const result = await measure(
        node,
        runtime,
        name.replaceAll(" ", "-"),
        deadlineIn(RUN_DEADLINE_MS, name),
      );
      into.push(result);
      return `runp ${result.runpMs.toFixed(0)} ms`;
    });
  };
  // The first pod of a node makes iptables chains and warms caches that every later one finds.
  await once([], "runc", "warm up");
  for (let run = 1; run <= RUNS; run++) {
    await once(runc, "runc", `runc ${run} of ${RUNS}`);
    await once(tapir, "tapir", `tapir ${run} of ${RUNS}`);
  }
  return { runc, tapir };
}

/** Median start and end of each step, in order of their starts. */
function medianSteps(measurements: readonly Measurement[]): TimelineStep[] {
  const names = [...new Set(measurements.flatMap(({ steps }) => steps.map(({ name }) => name)))];
  return names
    .map((name) => {
      const same = measurements.flatMap(({ steps }) => steps.filter((one) => one.name === name));
      const startMs = median(same.map((one) => one.startMs));
      return { name, startMs, endMs: startMs + median(same.map((one) => one.endMs - one.startMs)) };
    })
    .toSorted((a, b) => a.startMs - b.startMs);
}

async function bench(): Promise<void> {
  await using node = await startNode();
  const { runc, tapir } = await measureAll(node);
  const steps = medianSteps(tapir);
  const totalMs = median(tapir.map((one) => Math.max(...one.steps.map(({ endMs }) => endMs))));
  const runpMs = {
    tapir: median(tapir.map((one) => one.runpMs)),
    runc: median(runc.map((one) => one.runpMs)),
  };
  const pingMs = {
    tapir: median(tapir.map((one) => one.pingMs)),
    runc: median(runc.map((one) => one.pingMs)),
  };

  const ms = (value: number): string => value.toFixed(0).padStart(6);
  const rows = steps.map(({ name, startMs, endMs }) => [name, ms(startMs), ms(endMs), ms(endMs - startMs)]);
  rows.push(["total", ms(0), ms(totalMs), ms(totalMs)]);
  process.stdout.write(`\n${table(["STEP", " START", "   END", "    MS"], rows)}\n`);
  process.stdout.write(
    table(
      ["MEDIAN OF", "TAPIR MS", "RUNC MS", "RATIO"],
      [
        ["crictl runp", ...pair(runpMs)],
        ["runp to first ping", ...pair(pingMs)],
      ],
    ),
  );
  const path = writeResult("start", {
    phases_ms: {
      ...Object.fromEntries(steps.map(({ name, startMs, endMs }) => [name, endMs - startMs])),
      total: totalMs,
      runp_cold: runpMs.tapir,
      runp_runc: runpMs.runc,
    },
    ratios: {
      runp_cold_over_runc: runpMs.tapir / runpMs.runc,
      first_ping_cold_over_runc: pingMs.tapir / pingMs.runc,
    },
    runs: { runp_cold_ms: tapir.map((one) => one.runpMs), runp_runc_ms: runc.map((one) => one.runpMs) },
  });
  process.stdout.write(`\nwritten to ${path}\n`);
}

const pair = ({ tapir, runc }: { tapir: number; runc: number }): string[] => [
  tapir.toFixed(0),
  runc.toFixed(0),
  (tapir / runc).toFixed(1),
];

await bench();
