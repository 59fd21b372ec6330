import { setTimeout } from "node:timers/promises";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import { FAULTS } from "./faults.ts";
import type { Operation, Subject } from "./operation.ts";
import type { Site } from "./site.ts";

/** A step of an operation, and what cannot strike there. */
export interface Step {
  readonly name: string;
  /** Names of faults. */
  readonly absent: readonly string[];
}

/** Nothing is said of it: a busy machine may take so long. */
const PREPARE_MS = 180_000;
const CLEAN_MS = 60_000;
const LAST_STEPS_MS = 500;

export const preparing = ({ name }: Operation): Deadline => deadlineIn(PREPARE_MS, `prepare ${name}`);

/** What comes about by itself may be seen before its last steps are done. */
export async function laggards({ waits }: Operation): Promise<void> {
  if (waits === true) await setTimeout(LAST_STEPS_MS);
}

/** The steps that each operation comes to, each once, in their order. Those of one life are done to one pod, in their order. */
export async function findSteps(
  site: Site,
  operations: readonly Operation[],
): Promise<ReadonlyMap<Operation, readonly Step[]>> {
  const found = new Map<Operation, readonly Step[]>();
  const lives = Map.groupBy(operations, ({ life }) => life);
  for (const own of lives.values()) {
    let subject: Subject = {};
    for (const operation of own) {
      const before = await operation.prepare(site, preparing(operation), subject);
      const { steps, after } = await follow(site, operation, before);
      found.set(operation, steps);
      subject = { ...before, ...after };
    }
    await site.node.removePods(deadlineIn(CLEAN_MS, "remove the pods"));
    for (const { tidy } of own) await tidy?.(site, deadlineIn(CLEAN_MS, "tidy"));
  }
  return found;
}

async function follow(site: Site, operation: Operation, subject: Subject) {
  const steps = new Map<string, Step>();
  site.meeting.attend((encounter) => {
    const { step: name } = encounter;
    const absent = FAULTS.filter((fault) => fault.present?.(site, subject, encounter) === false);
    if (!steps.has(name)) steps.set(name, { name, absent: absent.map((fault) => fault.name) });
    return "go";
  });
  // Its time is not judged here; without its steps there is no matrix.
  const limitMs = Math.max(operation.limitSeconds * 1000, PREPARE_MS);
  const after = await operation.run(site, subject, deadlineIn(limitMs, operation.name));
  await laggards(operation);
  site.meeting.attend(undefined);
  return { steps: [...steps.values()], after };
}
