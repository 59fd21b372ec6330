import { deadlineIn } from "../../sys/deadline.ts";
import { nodeInventory } from "../harness/fixture.ts";
import { startNode, TB_SIZE_FOR_CONTAINERS_MIB } from "../harness/node.ts";
import { settledDifference } from "../harness/settle.ts";
import { workloads } from "../harness/workload.ts";
import { openElder } from "./elder.ts";
import { round } from "./round.ts";
import { type Figures, judge, renderTrends } from "./trend.ts";

export interface SoakRequest {
  readonly lives: number;
  /** Pods that live at a time. */
  readonly lanes: number;
  /** No new ones after that. */
  readonly minutes: number;
  print(text: string): void;
}

const SETTLE_MS = 30_000;
/** The machine may be busy with other things: nothing here is about time. */
const CLEAN_MS = 300_000;
const REPORT_EVERY = 10;

/** Lives of pods on a node of their own. True when nothing grows, and nothing is left at the end. */
export async function runSoak({ lives, lanes, minutes, print }: SoakRequest): Promise<boolean> {
  await using node = await startNode({ tbSizeMiB: TB_SIZE_FOR_CONTAINERS_MIB });
  const work = workloads(node);
  const startMs = performance.now();
  const minutesSince = (): number => (performance.now() - startMs) / 60_000;
  // The first pod makes what stays: the template.
  await node.crictl.runp(node.podConfig("first"), "tapir", deadlineIn(CLEAN_MS, "start the first pod"));
  await node.removePods(deadlineIn(CLEAN_MS, "remove the first pod"));
  const empty = await nodeInventory(node, deadlineIn(SETTLE_MS, "settle"));
  const elder = await openElder(node, work);
  const samples: Figures[] = [];
  let [lived, failed, rounds] = [0, 0, 0];
  while (lived < lives && minutesSince() < minutes) {
    const names = Array.from({ length: Math.min(lanes, lives - lived) }, (_, lane) => `soak-${lived + lane}`);
    const { figures, failures } = await round(node, work, elder, names);
    if (figures !== undefined) samples.push(figures);
    for (const failure of failures) print(`failed: ${failure.slice(0, 500)}`);
    failed += failures.length;
    lived += names.length;
    rounds += 1;
    if (rounds % REPORT_EVERY === 0) {
      print(`${lived} lives, ${((minutesSince() * 60) / lived).toFixed(2)} s each`);
      print(renderTrends(judge(samples), samples.length));
    }
  }
  await node.removePods(deadlineIn(CLEAN_MS, "remove the pods"));
  const limit = deadlineIn(SETTLE_MS, "settle");
  const left = await settledDifference(empty, () => nodeInventory(node, limit), limit);
  const trends = judge(samples);
  print(`${lived} lives in ${minutesSince().toFixed(1)} min, ${lanes} at a time, ${failed} failed`);
  print(renderTrends(trends, samples.length));
  for (const thing of left) print(`left: ${thing}`);
  return left.length + failed === 0 && trends.every(({ flat }) => flat);
}
