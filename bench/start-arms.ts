import type { TimelineStep } from "../shim/state/timeline.ts";
import { deadlineIn } from "../sys/deadline.ts";
import { type CacheServer, startCacheServer } from "../test/harness/cache-server.ts";
import { type BenchNode, FACTORY } from "./bench-node.ts";
import { requireKind, type StartKind } from "./came-as.ts";
import type { Arm } from "./measure.ts";
import { median } from "./median.ts";
import { removePod, startPod } from "./pod-start.ts";

const RUN_MS = 120_000;

/** The ways to start a pod, in the order of the tables. */
export const WAYS = {
  runc: { runtime: "runc", factory: [], kind: undefined },
  cold: { runtime: "tapir", factory: [FACTORY.cold], kind: "booted" },
  "template+warm": { runtime: "tapir", factory: [FACTORY.warm], kind: "warm" },
  "template+hot": { runtime: "tapir", factory: [FACTORY.hot], kind: "hot" },
  "template+cow": { runtime: "tapir", factory: [FACTORY.warm, FACTORY.cow], kind: "warm" },
  cache: { runtime: "tapir", factory: [FACTORY.cache], kind: "cache" },
} as const satisfies Record<string, WaySettings>;

interface WaySettings {
  readonly runtime: "tapir" | "runc";
  readonly factory: readonly string[];
  /** What each start of this way has to be; runc has no VM. */
  readonly kind: StartKind | undefined;
}

export type Way = keyof typeof WAYS;

/** Starts what keeps a VM ready for the way `cache`; the pods of the other ways do not ask it. */
export async function startCache(node: BenchNode): Promise<CacheServer> {
  node.configure(...WAYS.cache.factory);
  const server = startCacheServer(node);
  await server.ready(1, deadlineIn(RUN_MS, "fill the cache"));
  return server;
}

/** One arm for each way; `steps` collects what the shim says of each start. */
export function startArms(
  node: BenchNode,
  cache: CacheServer,
  steps: Map<Way, (readonly TimelineStep[])[]>,
): Arm[] {
  return (Object.keys(WAYS) as Way[]).map((way) => ({
    name: way,
    run: async (round) => {
      const { runtime, factory, kind } = WAYS[way];
      node.configure(...factory);
      const name = `${way.replace("+", "-")}-${round}`;
      const deadline = deadlineIn(RUN_MS, name);
      const pod = await startPod(node, runtime, name, deadline);
      await removePod(node, pod.id, deadline);
      // Refilling takes as much of the machine as a start.
      if (way === "cache") await cache.ready(1, deadline);
      if (kind !== undefined) requireKind(kind, pod.steps);
      steps.set(way, [...(steps.get(way) ?? []), pod.steps]);
      // Under runc the netns itself answers, long before the pod is there: the pod is up when runp returns.
      return { answeredMs: runtime === "runc" ? pod.runpMs : pod.answeredMs, runpMs: pod.runpMs };
    },
  }));
}

/** Median beginning and length of each step, in order of their beginnings. */
export function medianSteps(starts: readonly (readonly TimelineStep[])[]): TimelineStep[] {
  const names = [...new Set(starts.flatMap((steps) => steps.map(({ name }) => name)))];
  return names
    .map((name) => {
      const same = starts.flatMap((steps) => steps.filter((one) => one.name === name));
      const startMs = median(same.map((one) => one.startMs));
      return { name, startMs, endMs: startMs + median(same.map((one) => one.endMs - one.startMs)) };
    })
    .toSorted((a, b) => a.startMs - b.startMs);
}
