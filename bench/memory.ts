import { setTimeout } from "node:timers/promises";
import { table } from "../cli/table.ts";
import { step } from "../setup/step.ts";
import { deadlineIn } from "../sys/deadline.ts";
import { type BenchNode, FACTORY, startBenchNode } from "./bench-node.ts";
import { measurePods, type PodsMemory } from "./pod-memory.ts";
import { writeResult } from "./results.ts";

/**
 * `npm run bench:memory`: what each further pod takes, once it is up and idle: PSS of shim, QEMU and virtiofsd, for both
 * ways of giving a clone its memory, and runc's shim beside them.
 */
const COUNTS = [1, 4, 8];
const STEP_MS = 120_000;
/** Until what a start leaves behind has been collected: after five quiet seconds (shim/collect.ts). */
const SETTLE_MS = 8_000;

const WAYS = {
  copy: { runtime: "tapir", factory: [FACTORY.warm, FACTORY.copy] },
  cow: { runtime: "tapir", factory: [FACTORY.warm, FACTORY.cow] },
  runc: { runtime: "runc", factory: [] },
} as const;
type Way = keyof typeof WAYS;

interface Measured {
  readonly way: Way;
  readonly pods: number;
  readonly memory: PodsMemory;
}

async function measure(node: BenchNode, way: Way): Promise<Measured[]> {
  const { runtime, factory } = WAYS[way];
  node.configure(...factory);
  const found: Measured[] = [{ way, pods: 0, memory: measurePods(node) }];
  let running = 0;
  for (const pods of COUNTS) {
    await step(`${way}: ${pods} pods`, async () => {
      const deadline = deadlineIn(STEP_MS, `start ${pods} pods`);
      while (running < pods) await node.crictl.runp(node.podConfig(`${way}-${running++}`), runtime, deadline);
      await setTimeout(SETTLE_MS);
      const memory = measurePods(node);
      found.push({ way, pods, memory });
      return `${(memory.pss / pods).toFixed(1)} MiB each`;
    });
  }
  await node.removePods(deadlineIn(STEP_MS, "remove the pods"));
  return found;
}

async function bench(): Promise<void> {
  await using node = await startBenchNode();
  const found: Measured[] = [];
  await step("first pods: one under runc, one that makes the template", async () => {
    const deadline = deadlineIn(STEP_MS, "start the first pods");
    await node.crictl.runp(node.podConfig("first-runc"), "runc", deadline);
    node.configure(FACTORY.warm);
    await node.crictl.runp(node.podConfig("first"), "tapir", deadline);
    await node.removePods(deadline);
    return undefined;
  });
  for (const way of Object.keys(WAYS) as Way[]) found.push(...(await measure(node, way)));

  const mib = (value: number): string => value.toFixed(1).padStart(9);
  const rows = found
    .filter(({ pods }) => pods > 0)
    .map(({ way, pods, memory }) => {
      const none = memoryAt(found, way, 0);
      const each = (name: keyof PodsMemory): string => mib((memory[name] - none[name]) / pods);
      const lost = mib((none.available - memory.available) / pods);
      return [
        way,
        String(pods),
        each("shim"),
        each("qemu"),
        each("virtiofsd"),
        each("pss"),
        each("shmem"),
        lost,
      ];
    });
  const heads = [
    "MEMORY",
    "PODS",
    "     SHIM",
    "     QEMU",
    "VIRTIOFSD",
    "  PSS/POD",
    "SHMEM/POD",
    " LOST/POD",
  ];
  process.stdout.write(`\n${table(heads, rows)}`);
  const pss = {
    copy: perExtraPod(found, "copy"),
    cow: perExtraPod(found, "cow"),
    runc: perExtraPod(found, "runc"),
  };
  process.stdout.write(
    `\nMiB PSS per extra pod: copy ${mib(pss.copy)}, cow ${mib(pss.cow)}, runc ${mib(pss.runc)}\n`,
  );
  const path = writeResult("memory", {
    failures: 0,
    ratios: { cow_over_copy: pss.cow / pss.copy, cow_over_runc: pss.cow / pss.runc },
    pss_per_pod_mib: pss,
    table: Object.fromEntries(found.map(({ way, pods, memory }) => [`${way}, ${pods} pods`, { ...memory }])),
  });
  process.stdout.write(`written to ${path}\n`);
}

function memoryAt(found: readonly Measured[], way: Way, pods: number): PodsMemory {
  const one = found.find((measured) => measured.way === way && measured.pods === pods);
  if (one === undefined) throw new Error(`${pods} pods with ${way} were not measured`);
  return one.memory;
}

/** What the second to the last pod took, each. */
function perExtraPod(found: readonly Measured[], way: Way): number {
  const [first = 1] = COUNTS;
  const last = COUNTS.at(-1) ?? first;
  return (memoryAt(found, way, last).pss - memoryAt(found, way, first).pss) / (last - first);
}

await bench();
