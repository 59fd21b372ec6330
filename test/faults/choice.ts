import { FAULTS, type Fault } from "./faults.ts";
import type { Operation } from "./operation.ts";
import type { Step } from "./steps.ts";

/** Which of an operation's steps a fault strikes. Rules, not lists: steps and faults that are new take part by themselves. */
export type Choice = (operation: Operation, fault: Fault, steps: readonly Step[]) => readonly Step[];

/**
 * Of `steps × faults` every `every`th diagonal: with 1 all of it. As long as there are as many faults as that, each step is
 * struck by some fault; as long as there are as many steps, each fault strikes some step.
 */
export const diagonals =
  (every: number): Choice =>
  (_, { name }, steps) => {
    const column = FAULTS.findIndex((fault) => fault.name === name);
    return steps.filter((_step, row) => (row + column) % every === 0);
  };

export const theseSteps =
  (names: readonly string[]): Choice =>
  (_, __, steps) =>
    steps.filter(({ name }) => names.includes(name));

/** The step in the middle of those where it strikes: something is acquired then, and something is still to be. */
function central(fault: Fault, steps: readonly Step[]): Step[] {
  const struck = steps.filter(({ absent }) => !absent.includes(fault.name));
  return struck.slice(struck.length >> 1).slice(0, 1);
}
const everyNinth = (steps: readonly Step[]): Step[] => steps.filter((_, index) => index % 9 === 4);

/** Operations of which the short choice has the middle step only. */
const MIDDLE = ["update", "plug", "unplug", "add-iface", "update-iface", "update-routes", "del-iface"];

/**
 * What fits into every test run: each fault that is quick in the middle of a pod's start, or of an exec when it needs a pod that
 * runs; the shim's end all along what begins and ends containers, pods and NICs; a failing step in the middle of the rest. That
 * the shim ends in the middle of what operators change, test/network/killed.test.ts tries.
 */
export const shortChoice: Choice = ({ name }, fault, steps) => {
  if (fault.slow === true) return [];
  if (name === (fault.running === true ? "exec" : "runp")) return central(fault, steps);
  if (fault.name === "shim killed")
    return ["start", "stop", "remove", "plug", "unplug"].includes(name) ? everyNinth(steps) : [];
  return fault.name === "step fails" && MIDDLE.includes(name) ? central(fault, steps) : [];
};
