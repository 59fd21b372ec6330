import { deadlineIn } from "../../sys/deadline.ts";
import { nodeInventory } from "../harness/fixture.ts";
import { startNode } from "../harness/node.ts";
import { settledDifference } from "../harness/settle.ts";
import { workloads } from "../harness/workload.ts";
import { lifeOfPod } from "./cycle.ts";
import { type Sample, takeSample } from "./sample.ts";
import { judge, renderTrends } from "./trend.ts";

/** `npm run test:soak [-- <cycles>]`: lives of pods, 1,000 unless told otherwise; prints how what is left grows per life. */
const cycles = Number(process.argv[2] ?? 1000);
const SETTLE_MS = 30_000;
const REPORT_EVERY = 50;
const print = (text: string): boolean => process.stdout.write(`${text}\n`);

await using node = await startNode();
const work = workloads(node);
// The first ones make what stays.
for (const name of ["first", "second"]) await lifeOfPod(node, work, name);
const settle = deadlineIn(SETTLE_MS, "settle");
const empty = await nodeInventory(node, settle);
const samples: Sample[] = [];
const startMs = performance.now();
for (let cycle = 1; cycle <= cycles; cycle += 1) {
  await lifeOfPod(node, work, `soak-${cycle}`);
  samples.push(takeSample(node));
  if (cycle % REPORT_EVERY === 0)
    print(`${cycle} lives, ${((performance.now() - startMs) / cycle / 1000).toFixed(2)} s each`);
}
const limit = deadlineIn(SETTLE_MS, "settle");
const left = await settledDifference(empty, () => nodeInventory(node, limit), limit);
const trends = judge(samples);
print(renderTrends(trends, samples.length));
for (const thing of left) print(`left: ${thing}`);
process.exitCode = left.length === 0 && trends.every(({ flat }) => flat) ? 0 : 1;
