import { readdirSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import { reasonOf } from "../../sys/error.ts";
import { readProc } from "../../sys/identity.ts";
import { listProcesses } from "../../sys/inventory/processes.ts";
import { nodeInventory } from "../harness/fixture.ts";
import { settledDifference } from "../harness/settle.ts";
import { type Blow, FAULTS, type Fault } from "./faults.ts";
import type { Operation, Subject } from "./operations.ts";
import type { Site } from "./site.ts";

/** One operation with one fault at one of its steps. */
export interface Cell {
  readonly operation: Operation;
  readonly step: string;
  readonly fault: Fault;
}

export interface CellResult {
  readonly operation: string;
  readonly step: string;
  readonly fault: string;
  /** How long the operation took, fault included, milliseconds. */
  readonly ms: number;
  /** False when the operation failed, which it may. */
  readonly succeeded: boolean;
  /** Whether the operation came to the step. */
  readonly reached: boolean;
  /** False when there was nothing that the fault could strike: then the cell says nothing. */
  readonly struck: boolean;
  /** What is wrong: an operation that did not return, a view of containerd that is not right, a clean-up that failed. */
  readonly problems: readonly string[];
  /** What is left when the pod is gone. */
  readonly leaks: readonly string[];
}

/** What a test program takes longer than it was given. */
const TOLERANCE_MS = 5_000;
const PREPARE_MS = 60_000;
const VIEW_MS = 20_000;
const CLEAN_MS = 60_000;
/** A shim that nobody needs ends by itself after 30 s. */
const SETTLE_MS = 45_000;
/** An end is noticed at once; on a busy machine, soon. */
const REAP_MS = 5_000;
const LOOK_AGAIN_MS = 100;
const LAST_STEPS_MS = 500;

/** `idle` is called when from now on the cell only waits. */
export async function runCell(
  site: Site,
  { operation, step, fault }: Cell,
  idle: () => void,
): Promise<CellResult> {
  site.renewTemplate();
  const subject = await operation.prepare(site, deadlineIn(PREPARE_MS, `prepare ${operation.name}`));
  let blow: Blow | undefined;
  /** The operation may be over before the fault is. */
  let striking: Promise<unknown> = Promise.resolve();
  site.meeting.attend(async (encounter) => {
    if (blow !== undefined || encounter.step !== step) return "go";
    blow = "go";
    const strike = Promise.resolve(fault.strike(site, encounter, subject));
    striking = strike.catch(() => undefined);
    blow = await strike;
    if (fault.slow === true && blow === "go") idle();
    return blow === "nothing" ? "go" : blow;
  });
  const problems: string[] = [];
  const startMs = performance.now();
  const limitMs = operation.limitSeconds * 1000;
  const deadline = deadlineIn(limitMs, operation.name);
  const failure = await operation.run(site, subject, deadline).then(
    () => undefined,
    (error: unknown) => error,
  );
  const ms = Math.round(performance.now() - startMs);
  await laggards(operation);
  site.meeting.attend(undefined);
  await striking;
  const late = operation.waits ? limitMs + TOLERANCE_MS : limitMs;
  if (ms > late) problems.push(`${operation.name} did not return within ${operation.limitSeconds} s`);
  if (operation.waits && fault.passes && failure !== undefined) {
    problems.push(`${operation.name} did not come about: ${reasonOf(failure).slice(0, 500)}`);
  }
  if (blow === undefined && operation.waits !== true)
    problems.push(`${operation.name} did not come to ${step}`);
  const attempt = async (work: () => Promise<void> | undefined): Promise<void> => {
    try {
      await work();
    } catch (error) {
      problems.push(reasonOf(error).slice(0, 500));
    }
  };
  await attempt(() => fault.heal?.(site));
  if (fault.fatal && blow === "go" && failure === undefined) await attempt(() => seenDead(site, subject));
  await attempt(() => untilRight(async () => zombieOf(site), deadlineIn(REAP_MS, "reap")));
  await attempt(() => site.node.removePods(deadlineIn(CLEAN_MS, "remove the pods")));
  idle();
  const settle = deadlineIn(SETTLE_MS, "settle");
  const leaks = await settledDifference(site.empty, () => nodeInventory(site.node, settle), settle);
  const succeeded = failure === undefined;
  const reached = blow !== undefined;
  const struck = blow === "go" || blow === "error";
  return {
    operation: operation.name,
    step,
    fault: fault.name,
    ms,
    succeeded,
    reached,
    struck,
    problems,
    leaks,
  };
}

/** What comes about by itself may be seen before its last steps are done. */
async function laggards({ waits }: Operation): Promise<void> {
  if (waits === true) await setTimeout(LAST_STEPS_MS);
}

/** containerd knows that the pod is dead, and with it what ran in it. */
async function seenDead({ node, work }: Site, { pod, container }: Subject): Promise<void> {
  const deadline = deadlineIn(VIEW_MS, "see the pod's end");
  const wrong = async (): Promise<string | undefined> => {
    for (const id of pod === undefined ? await node.crictl.pods(deadline) : [pod.id]) {
      const known = await node.crictl.inspectp(id, deadline).catch(() => undefined);
      if (known?.state === "SANDBOX_READY") return "the pod is SANDBOX_READY though it is dead";
    }
    const state =
      container === undefined ? undefined : await work.status(container, deadline).catch(() => undefined);
    return state?.state === "CONTAINER_RUNNING"
      ? "the container is CONTAINER_RUNNING though it is dead"
      : undefined;
  };
  await untilRight(wrong, deadline);
}

/** A process that has ended and that its parent, one of the site's, has not noticed. */
function zombieOf({ node }: Site): string | undefined {
  const parents = new Set(listProcesses(node.mark).pids);
  for (const name of readdirSync("/proc").filter((entry) => /^\d+$/.test(entry))) {
    const stat = readProc(`/proc/${name}/stat`) ?? "";
    const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (state === "Z" && parents.has(Number(parent))) return `process ${name} is a zombie of ${parent}`;
  }
  return undefined;
}

async function untilRight(wrong: () => Promise<string | undefined>, deadline: Deadline): Promise<void> {
  for (;;) {
    const fault = await wrong();
    if (fault === undefined) return;
    if (deadline.remainingMs() < LOOK_AGAIN_MS) throw new Error(fault);
    await setTimeout(LOOK_AGAIN_MS);
  }
}

/** A step of an operation, and what cannot strike there. */
export interface Step {
  readonly name: string;
  /** Names of faults. */
  readonly absent: readonly string[];
}

/** The steps that an operation comes to, each once, in their order. */
export async function stepsOf(site: Site, operation: Operation): Promise<Step[]> {
  const subject = await operation.prepare(site, deadlineIn(PREPARE_MS, `prepare ${operation.name}`));
  const steps = new Map<string, Step>();
  site.meeting.attend(({ step: name }) => {
    const absent = FAULTS.filter((fault) => fault.present?.(site, subject) === false).map(
      (fault) => fault.name,
    );
    if (!steps.has(name)) steps.set(name, { name, absent });
    return "go";
  });
  await operation.run(site, subject, deadlineIn(operation.limitSeconds * 1000, operation.name));
  await laggards(operation);
  site.meeting.attend(undefined);
  await site.node.removePods(deadlineIn(CLEAN_MS, "remove the pods"));
  return [...steps.values()];
}

/** Of a cell that need not be run: at that step there is nothing that the fault could strike. */
export const nothingToStrike = ({ operation, step, fault }: Cell): CellResult => ({
  operation: operation.name,
  step,
  fault: fault.name,
  ms: 0,
  succeeded: true,
  reached: true,
  struck: false,
  problems: [],
  leaks: [],
});
