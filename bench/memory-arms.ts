import { setTimeout } from "node:timers/promises";
import { deadlineIn } from "../sys/deadline.ts";
import { type BenchNode, FACTORY } from "./bench-node.ts";
import { requireKind } from "./came-as.ts";
import type { Arm } from "./measure.ts";
import { measurePods, type PodsMemory } from "./pod-memory.ts";
import { shareIsThere, stepsOf } from "./pod-start.ts";

export const COUNTS = [1, 4, 8] as const;
/** What is told of each count of pods, in MiB for each of them. */
export const COLUMNS = ["shim", "qemu", "virtiofsd", "pss", "shmem", "lost"] as const;
type Column = (typeof COLUMNS)[number];

const STEP_MS = 180_000;
/** Until what a start leaves behind has been collected: after five quiet seconds (shim/collect.ts). */
const SETTLE_MS = 8_000;
/** runc's shim has nothing to collect. */
const RUNC_SETTLE_MS = 2_000;

/** Ways to give a pod its memory, in the order of the tables. `share`: its pods get a folder share. */
export const WAYS = {
  copy: { runtime: "tapir", factory: [FACTORY.warm, FACTORY.copy], share: true },
  cow: { runtime: "tapir", factory: [FACTORY.warm, FACTORY.cow], share: false },
  runc: { runtime: "runc", factory: [], share: false },
} as const;
type Way = keyof typeof WAYS;

export const sampleName = (column: Column, pods: number): string => `${column} of ${pods}`;

/** One arm for each way: starts pods until there are as many as the last count says, and measures at each. They go again. */
export function memoryArms(node: BenchNode): Arm[] {
  return (Object.keys(WAYS) as Way[]).map((way) => ({
    name: way,
    async run(round) {
      try {
        return await measure(node, way, round);
      } finally {
        await node.removePods(deadlineIn(STEP_MS, "remove the pods"));
      }
    },
  }));
}

async function measure(node: BenchNode, way: Way, round: number): Promise<Record<string, number>> {
  node.configure(...WAYS[way].factory);
  const none = measurePods(node);
  const found = new Map<number, PodsMemory>();
  let running = 0;
  for (const pods of COUNTS) {
    while (running < pods) await startOne(node, way, `${way}-${round}-${running++}`);
    await setTimeout(way === "runc" ? RUNC_SETTLE_MS : SETTLE_MS);
    found.set(pods, measurePods(node));
  }
  const columns = [...found].flatMap(([pods, memory]) =>
    COLUMNS.map((column): [string, number] => [sampleName(column, pods), taken(column, none, memory) / pods]),
  );
  return { extra: perExtraPod(found), ...Object.fromEntries(columns) };
}

/** What idle pods take is measured when they have all that they will ever have. */
async function startOne(node: BenchNode, way: Way, name: string): Promise<void> {
  const deadline = deadlineIn(STEP_MS, `start ${name}`);
  const { runtime, share } = WAYS[way];
  const id = await node.crictl.runp(node.podConfig(name), runtime, deadline);
  if (runtime === "tapir") requireKind("warm", stepsOf(node, id));
  if (share) await shareIsThere(node, id, deadline);
}

function taken(column: Column, none: PodsMemory, now: PodsMemory): number {
  return column === "lost" ? none.available - now.available : now[column] - none[column];
}

/** What the second to the last pod took, each. */
function perExtraPod(found: ReadonlyMap<number, PodsMemory>): number {
  const [first, last] = [Math.min(...COUNTS), Math.max(...COUNTS)];
  const pss = (pods: number): number => found.get(pods)?.pss ?? Number.NaN;
  return (pss(last) - pss(first)) / (last - first);
}
