import { table } from "../cli/table.ts";
import { step } from "../setup/step.ts";
import { deadlineIn } from "../sys/deadline.ts";
import { type BenchNode, FACTORY, startBenchNode } from "./bench-node.ts";
import { type Arm, interleave, medianOf, minimumOf, valuesOf } from "./measure.ts";
import { median } from "./median.ts";
import { readRounds } from "./options.ts";
import { startBurst } from "./pod-burst.ts";
import { writeResult } from "./results.ts";
import { conclude } from "./verdict.ts";

/** `npm run bench:parallel [-- --rounds N]`: pods that start at once, from one template, until each guest answers. */
const rounds = readRounds(10);
const COUNTS = [1, 4, 8, 16];
const BURST_MS = 120_000;
const BUDGET_MS = 4.5 * 60_000;

async function bench(): Promise<void> {
  await using node = await startBenchNode();
  await step("first pods: one under runc, one that makes the template", async () => {
    const deadline = deadlineIn(BURST_MS, "start the first pods");
    await node.crictl.runp(node.podConfig("first-runc"), "runc", deadline);
    node.configure(FACTORY.warm);
    await node.crictl.runp(node.podConfig("first"), "tapir", deadline);
    await node.removePods(deadline);
    return undefined;
  });
  const outcome = await interleave(
    COUNTS.map((count) => burstArm(node, count)),
    { rounds, budgetMs: BUDGET_MS },
  );

  const all = (count: number): number => medianOf(outcome, armName(count), "allMs");
  const ms = (value: number): string => value.toFixed(0).padStart(6);
  const rows = COUNTS.map((count) => [
    String(count),
    ms(all(count)),
    ms(minimumOf(outcome, armName(count), "allMs")),
    ms(medianOf(outcome, armName(count), "medianMs")),
    ms(all(count) / count),
    (all(count) / all(1)).toFixed(2).padStart(6),
  ]);
  const { failures, rounds: counted } = outcome;
  const heads = ["PODS", "   ALL", "   MIN", "MEDIAN POD", "PER POD", "x ONE"];
  process.stdout.write(`\n${table(heads, rows)}\n`);
  const path = writeResult("parallel", {
    failures: failures.length,
    rounds: counted,
    ratios: {
      p4_over_p1: all(4) / all(1),
      p8_over_p1: all(8) / all(1),
      p16_over_p1: all(16) / all(1),
    },
    phases_ms: Object.fromEntries(COUNTS.map((count) => [`all ${armName(count)}`, all(count)])),
    runs: Object.fromEntries(
      COUNTS.map((count) => [armName(count), valuesOf(outcome, armName(count), "allMs")]),
    ),
  });
  process.stdout.write(`p8_over_p1 ${(all(8) / all(1)).toFixed(2)}\nwritten to ${path}\n`);
  conclude([outcome]);
}

const armName = (count: number): string => `${count} at once`;

function burstArm(node: BenchNode, count: number): Arm {
  return {
    name: armName(count),
    async run(round) {
      const deadline = deadlineIn(BURST_MS, `${count} pods at once`);
      const { answeredMs, failures } = await startBurst(node, `p${count}-${round}`, count, deadline);
      await removeAll(node);
      if (failures.length > 0) throw new Error(failures.join("; "));
      return { allMs: Math.max(...answeredMs), medianMs: median(answeredMs) };
    },
  };
}

async function removeAll(node: BenchNode): Promise<void> {
  const deadline = deadlineIn(BURST_MS, "remove the pods");
  const ids = await node.crictl.pods(deadline);
  await Promise.all(
    ids.map(async (id) => {
      await node.crictl.stopp(id, deadline);
      await node.crictl.rmp(id, deadline);
    }),
  );
}

await bench();
