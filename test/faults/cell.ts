import { readdirSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import { reasonOf } from "../../sys/error.ts";
import { readProc } from "../../sys/identity.ts";
import { listProcesses } from "../../sys/inventory/processes.ts";
import { settledDifference } from "../harness/settle.ts";
import type { Blow, Fault } from "./faults.ts";
import type { Operation } from "./operation.ts";
import type { Site } from "./site.ts";
import { laggards, preparing } from "./steps.ts";
import { wrongView } from "./view.ts";

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
  /** Where all of the cell's time went, milliseconds. */
  readonly times: Readonly<Record<string, number>>;
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
const VIEW_MS = 20_000;
const CLEAN_MS = 60_000;
/** A guest that stands still instead of removing its container loses its VM after 40 s; containerd looks again later. */
const MUTE_CLEAN_MS = 120_000;
/** A shim that nobody needs ends by itself after 30 s. */
const SETTLE_MS = 45_000;
/** An end is noticed at once; on a busy machine, soon. */
const REAP_MS = 5_000;
const LOOK_AGAIN_MS = 100;

/** Seconds that the operation may take with that fault. */
function limitOf({ limitSeconds, muteSeconds, waits }: Operation, fault: Fault): number {
  const usual = fault.mutes === true ? (muteSeconds ?? limitSeconds) : limitSeconds;
  // Nobody is held up who only looks.
  return usual + (waits === true ? 0 : (fault.holdsSeconds ?? 0));
}

/** `idle` is called when from now on the cell only waits. */
export async function runCell(
  site: Site,
  { operation, step, fault }: Cell,
  idle: () => void,
): Promise<CellResult> {
  const clock = startClock();
  site.renewTemplate();
  const subject = await operation.prepare(site, preparing(operation), {});
  clock.lap("prepare");
  let blow: Blow | undefined;
  /** The operation may be over before the fault is. */
  let striking: Promise<unknown> = Promise.resolve();
  site.exits.forget();
  site.meeting.attend(async (encounter) => {
    if (blow !== undefined || encounter.step !== step) return "go";
    blow = "go";
    if (fault.slow === true) idle();
    const strike = Promise.resolve(fault.strike(site, encounter, subject));
    striking = strike.catch(() => undefined);
    blow = await strike;
    return blow === "nothing" ? "go" : blow;
  });
  const problems: string[] = [];
  const attempt = async (work: () => Promise<void> | undefined): Promise<void> => {
    try {
      await work();
    } catch (error) {
      problems.push(reasonOf(error).slice(0, 500));
    }
  };
  const startMs = performance.now();
  const limitSeconds = limitOf(operation, fault);
  const limitMs = limitSeconds * 1000;
  const failure = await operation.run(site, subject, deadlineIn(limitMs, operation.name)).then(
    () => undefined,
    (error: unknown) => error,
  );
  const ms = Math.round(performance.now() - startMs);
  await laggards(operation);
  site.meeting.attend(undefined);
  await striking;
  clock.lap("run");
  const late = operation.waits ? limitMs + TOLERANCE_MS : limitMs;
  if (ms >= late) problems.push(`${operation.name} did not return within ${limitSeconds} s`);
  if (operation.waits && fault.passes && failure !== undefined) {
    problems.push(`${operation.name} did not come about: ${reasonOf(failure).slice(0, 500)}`);
  }
  if (blow === undefined && operation.waits !== true)
    problems.push(`${operation.name} did not come to ${step}`);
  await attempt(() => fault.heal?.(site));
  if (fault.passes === true && blow === "error")
    await attempt(() => operation.settled?.(site, subject, deadlineIn(VIEW_MS, "settle")));
  clock.lap("heal");
  if (blow === "go" || blow === "error") {
    const view = deadlineIn(VIEW_MS, "see what containerd says");
    await attempt(() => untilRight(() => wrongView(site, operation, fault, view), view));
  }
  await attempt(() => untilRight(async () => zombieOf(site), deadlineIn(REAP_MS, "reap")));
  clock.lap("view");
  const cleanMs = fault.mutes === true ? MUTE_CLEAN_MS : CLEAN_MS;
  await attempt(() => site.node.removePods(deadlineIn(cleanMs, "remove the pods")));
  await attempt(() => operation.tidy?.(site, deadlineIn(CLEAN_MS, "tidy")));
  clock.lap("clean");
  idle();
  const settle = deadlineIn(SETTLE_MS, "settle");
  const leaks = await settledDifference(site.empty, () => site.inventory(settle), settle);
  problems.push(...site.exits.repeated().map((exit) => `told more than once: the end of ${exit}`));
  clock.lap("settle");
  const succeeded = failure === undefined;
  const reached = blow !== undefined;
  const struck = blow === "go" || blow === "error";
  return {
    operation: operation.name,
    step,
    fault: fault.name,
    ms,
    times: clock.laps,
    succeeded,
    reached,
    struck,
    problems,
    leaks,
  };
}

/** What a cell's time goes to, milliseconds. */
function startClock(): { readonly laps: Record<string, number>; lap(name: string): void } {
  let last = performance.now();
  const laps: Record<string, number> = {};
  return {
    laps,
    lap(name) {
      const now = performance.now();
      laps[name] = Math.round(now - last);
      last = now;
    },
  };
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
  for (let fault: string | undefined; ; ) {
    const before = fault;
    fault = await wrong().catch(reasonOf);
    if (fault === undefined) return;
    // A look that time has cut short says less than the one before.
    if (deadline.signal.aborted) throw new Error(before ?? fault);
    if (deadline.remainingMs() < LOOK_AGAIN_MS) throw new Error(fault);
    await setTimeout(LOOK_AGAIN_MS);
  }
}

const unstruck = ({ operation, step, fault }: Cell) => ({
  operation: operation.name,
  step,
  fault: fault.name,
  ms: 0,
  times: {},
  struck: false,
  leaks: [],
});

/** Of a cell that need not be run: at that step there is nothing that the fault could strike. */
export const nothingToStrike = (cell: Cell): CellResult => ({
  ...unstruck(cell),
  succeeded: true,
  reached: true,
  problems: [],
});

/** Of a cell that could not be run, which is never green. */
export const notRun = (cell: Cell, why: string): CellResult => ({
  ...unstruck(cell),
  succeeded: false,
  reached: false,
  problems: [why],
});
