import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { sandboxDirectory } from "../shim/state/directory.ts";
import { readTimeline, type TimelineStep } from "../shim/state/timeline.ts";
import type { Deadline } from "../sys/deadline.ts";
import { type BenchNode, GUEST_TTL } from "./bench-node.ts";
import { firstAnswer, watchAddresses } from "./first-answer.ts";

/** Seldom enough not to be the load that is measured. */
const POLL_MS = 100;

/** One pod's start, in milliseconds since crictl was executed. */
export interface PodStart {
  readonly id: string;
  /** crictl has ended: the CRI's answer is there. */
  readonly runpMs: number;
  /** The pod answered on its first address: the guest itself, not the netns it replaces. */
  readonly answeredMs: number;
  /** The shim's own account, with `shim called` as its beginning; empty under runc. */
  readonly steps: readonly TimelineStep[];
}

/** Starts one pod and waits for both ends of its start. The pod stays. Only one may start at a time. */
export async function startPod(
  node: BenchNode,
  runtime: "tapir" | "runc",
  name: string,
  deadline: Deadline,
): Promise<PodStart> {
  const answered = Promise.withResolvers<number>();
  answered.promise.catch(() => undefined);
  const ttl = runtime === "tapir" ? GUEST_TTL : undefined;
  const stopWatching = watchAddresses(addressStore(node), ({ address }) => {
    firstAnswer(node.netns, address, { ttl }, deadline).then(answered.resolve, answered.reject);
  });
  try {
    const started = performance.now();
    const id = await node.crictl.runp(node.podConfig(name), runtime, deadline);
    const runpMs = performance.now() - started;
    const answeredMs = (await deadline.race(answered.promise)) - started;
    const steps = runtime === "tapir" ? readSteps(node, id, performance.timeOrigin + started) : [];
    return { id, runpMs, answeredMs, steps };
  } finally {
    stopWatching();
  }
}

export async function removePod(node: BenchNode, id: string, deadline: Deadline): Promise<void> {
  await node.crictl.stopp(id, deadline);
  await node.crictl.rmp(id, deadline);
}

/** Where host-local notes addresses: there from a node's first pod on. */
export function addressStore({ directory }: BenchNode): string {
  return join(directory, "cni-addresses/tapir");
}

/** What a pod's shim says of its start. */
export function stepsOf({ stateDirectory }: BenchNode, id: string): readonly TimelineStep[] {
  return readTimeline(sandboxDirectory(stateDirectory, "k8s.io", id)).steps;
}

/** Waits until the pod has its folder share, which comes in the background after its start. */
export async function shareIsThere(
  { stateDirectory }: BenchNode,
  id: string,
  deadline: Deadline,
): Promise<void> {
  const directory = sandboxDirectory(stateDirectory, "k8s.io", id);
  while (!readTimeline(directory).later.some(({ name }) => name === "mount share"))
    await setTimeout(POLL_MS, undefined, { signal: deadline.signal });
}

function readSteps({ stateDirectory }: BenchNode, id: string, startedEpochMs: number): TimelineStep[] {
  const { originEpochMs, steps } = readTimeline(sandboxDirectory(stateDirectory, "k8s.io", id));
  // The two clocks were read by different processes: a fraction of a millisecond.
  const before = originEpochMs - startedEpochMs;
  const shifted = steps.map(({ name, startMs, endMs }) => ({
    name,
    startMs: startMs + before,
    endMs: endMs + before,
  }));
  return [{ name: "crictl, containerd, CNI", startMs: 0, endMs: before }, ...shifted];
}
