import { step } from "../setup/step.ts";
import type { TimelineStep } from "../shim/state/timeline.ts";
import { deadlineIn } from "../sys/deadline.ts";
import { type BenchNode, FACTORY, startBenchNode } from "./bench-node.ts";
import { floorArms } from "./floor.ts";
import { guestInstructions } from "./guest-instructions.ts";
import { interleave, type Outcome } from "./measure.ts";
import { readRounds } from "./options.ts";
import { measureShimCost, type ShimCost } from "./shim-cost.ts";
import { shimStartArms } from "./shim-start.ts";
import { startArms, startCache, WAYS, type Way } from "./start-arms.ts";
import { reportStart } from "./start-report.ts";

/**
 * `npm run bench:start [-- --rounds N]`: how long a pod takes until its guest answers on the pod's address, beside a bare
 * restore of the same guest, beside runc, and beside an empty Node; and where the time goes.
 */
const rounds = readRounds(10);
const BUDGET_MS = 6 * 60_000;
const FIRST_MS = 180_000;
const LIVES = 10;
const PAIRS = 15;

async function benchPods(): Promise<{ outcome: Outcome; steps: Map<Way, (readonly TimelineStep[])[]> }> {
  await using node = await startBenchNode();
  const steps = new Map<Way, (readonly TimelineStep[])[]>();
  using floors = await prepare(node);
  const cache = await startCache(node);
  try {
    const arms = [...floors.arms, ...startArms(node, cache, steps)];
    return { outcome: await interleave(arms, { rounds, budgetMs: BUDGET_MS }), steps };
  } finally {
    await cache.end("SIGTERM", deadlineIn(FIRST_MS, "end the cache"));
  }
}

/** The first pods make what later ones find: chains of iptables, templates. */
async function prepare(node: BenchNode): Promise<ReturnType<typeof floorArms>> {
  const deadline = deadlineIn(FIRST_MS, "start the first pods");
  let arms: ReturnType<typeof floorArms> | undefined;
  let names = 0;
  await step("first pods: they make the template", async () => {
    node.configure(FACTORY.warm);
    await node.crictl.runp(node.podConfig("first"), "tapir", deadline);
    const second = await node.crictl.runp(node.podConfig("second"), "tapir", deadline);
    arms = floorArms(node.factory, second, node.directory);
    for (const { runtime, factory } of Object.values(WAYS)) {
      node.configure(...factory);
      await node.crictl.runp(node.podConfig(`first-${names++}`), runtime, deadline);
    }
    await node.removePods(deadline);
    return undefined;
  });
  if (arms === undefined) throw new Error("there is no floor");
  return arms;
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
  if (cost !== undefined) reportStart({ outcome, start, steps, cost, instructions });
}

await bench();
