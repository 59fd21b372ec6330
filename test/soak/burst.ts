import { deadlineIn } from "../../sys/deadline.ts";
import { nodeInventory } from "../harness/fixture.ts";
import { startNode, TB_SIZE_FOR_CONTAINERS_MIB, type TestNode } from "../harness/node.ts";
import { settledDifference } from "../harness/settle.ts";
import { type Workloads, workloads } from "../harness/workload.ts";
import { command } from "./cycle.ts";

/** Far beyond what a busy machine needs; what it did need is printed. */
const BURST_MS = 280_000;
const SETTLE_MS = 30_000;

const PHASES = ["pod", "container and exec", "stop and remove"] as const;
type Phase = (typeof PHASES)[number];

/** Pods that start at once, each runs a container and a command, all stop at once. True when none fails and nothing is left. */
export async function runBurst(count: number, print: (text: string) => void): Promise<boolean> {
  await using node = await startNode({ tbSizeMiB: TB_SIZE_FOR_CONTAINERS_MIB });
  const work = workloads(node);
  const deadline = deadlineIn(BURST_MS, `${count} pods at once`);
  await node.crictl.runp(node.podConfig("first"), "tapir", deadline);
  await node.removePods(deadline);
  const empty = await nodeInventory(node, deadlineIn(SETTLE_MS, "settle"));
  const outcome = await burst(node, work, count);
  const limit = deadlineIn(SETTLE_MS, "settle");
  const left = await settledDifference(empty, () => nodeInventory(node, limit), limit);
  for (const { phase, slowestMs, allMs } of outcome.phases) {
    print(`${phase.padEnd(20)} slowest ${seconds(slowestMs)} s, all ${seconds(allMs)} s`);
  }
  print(
    `${count} pods at once: ${seconds(outcome.allMs)} s, ${outcome.failures.length} failures, ${left.length} left`,
  );
  for (const line of [...outcome.failures, ...left]) print(`  ${line}`);
  return outcome.failures.length + left.length === 0;
}

const seconds = (ms: number): string => (ms / 1000).toFixed(1).padStart(6);

interface BurstOutcome {
  readonly allMs: number;
  readonly phases: readonly { readonly phase: Phase; readonly slowestMs: number; readonly allMs: number }[];
  readonly failures: readonly string[];
}

/** All go into a phase together; one that fails is not in the next one, and removed at the end like the others. */
async function burst(node: TestNode, work: Workloads, count: number): Promise<BurstOutcome> {
  const deadline = deadlineIn(BURST_MS, `${count} pods at once`);
  const failures: string[] = [];
  const phases: BurstOutcome["phases"][number][] = [];
  const startMs = performance.now();
  const together = async <T, R>(
    phase: Phase,
    all: readonly T[],
    act: (one: T) => Promise<R>,
  ): Promise<R[]> => {
    const fromMs = performance.now();
    const took: number[] = [];
    const outcomes = await Promise.allSettled(
      all.map(async (one) => {
        const result = await act(one);
        took.push(performance.now() - fromMs);
        return result;
      }),
    );
    for (const outcome of outcomes)
      if (outcome.status === "rejected") failures.push(`${phase}: ${String(outcome.reason).slice(0, 600)}`);
    phases.push({ phase, slowestMs: Math.max(0, ...took), allMs: performance.now() - fromMs });
    return outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []));
  };
  const names = Array.from({ length: count }, (_, index) => `burst-${index}`);
  const pods = await together("pod", names, (name) => work.pod(name, deadline));
  await together("container and exec", pods, (pod) => command(work, pod, "one"));
  await together("stop and remove", await node.crictl.pods(deadline), async (id) => {
    await node.crictl.stopp(id, deadline);
    await node.crictl.rmp(id, deadline);
  });
  return { allMs: performance.now() - startMs, phases, failures };
}
