import { setTimeout } from "node:timers/promises";
import { type Deadline, deadlineIn } from "../sys/deadline.ts";
import { reasonOf } from "../sys/error.ts";
import { FACTORY, startBenchNode } from "./bench-node.ts";
import { requireKind } from "./came-as.ts";
import type { Executed } from "./executed.ts";
import { median } from "./median.ts";
import { removePod, shareIsThere, startPod } from "./pod-start.ts";
import { accountedShim } from "./shim-life.ts";
import { traceShim } from "./trace-exec.ts";

const POD_MS = 120_000;

/** Until a shim has collected what the start left behind, with some time for it: after five quiet seconds (shim/collect.ts). */
const IDLE_MS = 6_000;

/**
 * What the shim's own processes cost in a pod's whole life, restored from a template: start, the folder share that every pod
 * gets, the collection of what is left once it is idle, the end.
 */
export interface ShimCost {
  /** Medians of CPU milliseconds: `start` with all that comes until the shim's end, `delete`, the launcher, and an empty program of the same Node (`node`). */
  readonly cpuMs: Readonly<Record<string, number>>;
  /** CPU of all but the empty program together, over that of the empty program. */
  readonly overNode: number;
  /** What was executed below the shim's `start`; undefined, with the reason, where it could not be watched. */
  readonly executed: readonly Executed[] | undefined;
  readonly reason: string;
}

/** Lives of pods on a node of their own: each process of the shim says at its end what it used. */
export async function measureShimCost(rounds: number): Promise<ShimCost> {
  using shim = accountedShim();
  await using node = await startBenchNode({ env: { PATH: `${shim.directory}:${process.env.PATH}` } });
  node.configure(FACTORY.warm);
  const live = async (
    name: string,
    whileUp: (id: string, deadline: Deadline) => Promise<void>,
  ): Promise<void> => {
    const deadline = deadlineIn(POD_MS, name);
    const { id, steps } = await startPod(node, "tapir", name, deadline);
    requireKind("warm", steps);
    await whileUp(id, deadline);
    await removePod(node, id, deadline);
  };
  const untilIdle = async (id: string, deadline: Deadline): Promise<void> => {
    await shareIsThere(node, id, deadline);
    await setTimeout(IDLE_MS);
  };
  // Builds the template.
  await node.crictl.runp(node.podConfig("first"), "tapir", deadlineIn(POD_MS, "first pod"));
  await node.removePods(deadlineIn(POD_MS, "remove the first pod"));

  const found = new Map<string, number[]>();
  const note = (command: string, cpuMs: number): void =>
    void found.set(command, [...(found.get(command) ?? []), cpuMs]);
  for (let round = 1; round <= rounds; round++) {
    note("node", await shim.emptyProgram());
    shim.take();
    await live(`life-${round}`, untilIdle);
    const life = shim.take();
    // A command that no Node ran for took nothing.
    for (const command of ["start", "delete"]) {
      const own = life.filter((one) => one.command === command);
      note(
        command,
        own.reduce((sum, { cpuMs }) => sum + cpuMs, 0),
      );
    }
  }
  const own = Object.fromEntries([...found].map(([command, values]) => [command, median(values)]));
  const cpuMs = { ...own, launcher: await shim.launcher() };
  const { node: empty = Number.NaN, ...parts } = cpuMs as Record<string, number>;
  const cost = { cpuMs, overNode: Object.values(parts).reduce((sum, one) => sum + one, 0) / empty };
  try {
    const daemon = node.containerd.identity().pid;
    const executed = await traceShim(
      daemon,
      () => live("traced", async () => undefined),
      deadlineIn(POD_MS, "trace the shim"),
    );
    return { ...cost, executed, reason: "" };
  } catch (error) {
    return { ...cost, executed: undefined, reason: reasonOf(error) };
  }
}
