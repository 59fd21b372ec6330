import { table } from "../cli/table.ts";
import { step } from "../setup/step.ts";
import { deadlineIn } from "../sys/deadline.ts";
import { type BenchNode, FACTORY, startBenchNode } from "./bench-node.ts";
import { interleave, medianOf, valuesOf } from "./measure.ts";
import { COLUMNS, COUNTS, memoryArms, sampleName, WAYS } from "./memory-arms.ts";
import { readRounds } from "./options.ts";
import { writeResult } from "./results.ts";
import { conclude } from "./verdict.ts";

/**
 * `npm run bench:memory [-- --rounds N]`: what each further pod takes, once it is up and idle: PSS of shim, QEMU and virtiofsd,
 * for both ways of giving a clone its memory, and runc's shim beside them.
 */
const rounds = readRounds(10);
const FIRST_MS = 180_000;
const BUDGET_MS = 40 * 60_000;

/** Later pods find the template, and chains of iptables. */
async function startFirstPods(node: BenchNode): Promise<void> {
  await step("first pods: one under runc, one that makes the template", async () => {
    const deadline = deadlineIn(FIRST_MS, "start the first pods");
    await node.crictl.runp(node.podConfig("first-runc"), "runc", deadline);
    node.configure(FACTORY.warm);
    await node.crictl.runp(node.podConfig("first"), "tapir", deadline);
    await node.removePods(deadline);
    return undefined;
  });
}

async function bench(): Promise<void> {
  await using node = await startBenchNode();
  await startFirstPods(node);
  const outcome = await interleave(memoryArms(node), { rounds, budgetMs: BUDGET_MS });

  const names = Object.keys(WAYS);
  const medians = names.flatMap((way) =>
    COUNTS.map((pods) => {
      const each = COLUMNS.map((column) => [column, medianOf(outcome, way, sampleName(column, pods))]);
      return { way, pods, each: Object.fromEntries(each) as Record<string, number> };
    }),
  );
  const mib = (value = Number.NaN): string => value.toFixed(1).padStart(9);
  const heads = ["MEMORY", "PODS", ...COLUMNS.map((column) => column.toUpperCase().padStart(9))];
  const rows = medians.map(({ way, pods, each }) => [
    way,
    String(pods),
    ...COLUMNS.map((column) => mib(each[column])),
  ]);
  process.stdout.write(
    `\n${table(heads, rows)}\nMiB for each pod, medians; lost: what the machine has less\n`,
  );
  const pss = Object.fromEntries(names.map((way) => [way, medianOf(outcome, way, "extra")]));
  const { copy = Number.NaN, cow = Number.NaN, runc = Number.NaN } = pss;
  process.stdout.write(`\nMiB PSS per extra pod: copy ${mib(copy)}, cow ${mib(cow)}, runc ${mib(runc)}\n`);
  const path = writeResult("memory", {
    failures: outcome.failures.length,
    rounds: outcome.rounds,
    ratios: { cow_over_copy: cow / copy, cow_over_runc: cow / runc },
    pss_per_pod_mib: pss,
    table: Object.fromEntries(medians.map(({ way, pods, each }) => [`${way}, ${pods} pods`, each])),
    runs: Object.fromEntries(names.map((way) => [way, valuesOf(outcome, way, "extra")])),
  });
  process.stdout.write(`written to ${path}\n`);
  conclude([outcome]);
}

await bench();
