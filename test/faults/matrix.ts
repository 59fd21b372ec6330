import { type Cell, type CellResult, nothingToStrike } from "./cell.ts";
import type { Choice } from "./choice.ts";
import type { Fault } from "./faults.ts";
import { gateFor } from "./gate.ts";
import { runLane } from "./lanes.ts";
import type { Operation } from "./operation.ts";
import { keepTemplates, openSite } from "./site.ts";
import { findSteps, type Step } from "./steps.ts";

export interface MatrixRequest {
  readonly operations: readonly Operation[];
  readonly faults: readonly Fault[];
  readonly choose: Choice;
  /** A directory on the file system of /dev/shm for the sites' templates; without it they go with the run. */
  readonly templates?: string | undefined;
  /** How many sites there are side by side. */
  readonly lanes: number;
  /** How many cells at a time keep the processors busy. */
  readonly busy: number;
  /** A cell that was run before, or for which there is no time. */
  skip(cell: Cell): boolean;
  /** What is known of an operation's steps; they are found out otherwise. */
  steps?(operation: Operation): readonly Step[] | undefined;
  onSteps?(operation: Operation, steps: readonly Step[]): void;
  /** The cells that are to be run. */
  onPlan?(cells: readonly Cell[]): void;
  onResult(result: CellResult): void;
}

/** Runs the cells: each lane takes the next when it has done with one. */
export async function runMatrix(request: MatrixRequest): Promise<void> {
  const { operations, faults, lanes, busy, skip, onSteps, onResult } = request;
  using kept = keepTemplates(request.templates);
  const site = await openSite(kept);
  const cells: Cell[] = [];
  try {
    const unknown = operations.filter((operation) => request.steps?.(operation) === undefined);
    const found = await findSteps(site, unknown);
    for (const operation of operations) {
      const steps = request.steps?.(operation) ?? found.get(operation) ?? [];
      onSteps?.(operation, steps);
      const chosen = cellsOf(request, operation, steps);
      for (const { cell, absent } of chosen) if (absent && !skip(cell)) onResult(nothingToStrike(cell));
      cells.push(...chosen.filter(({ absent }) => !absent).map(({ cell }) => cell));
    }
  } catch (error) {
    await site[Symbol.asyncDispose]();
    throw error;
  }
  request.onPlan?.(cells);
  // The faults in their order: when there is no time for all of it, those that matter most were run at every step.
  // Of these, those first that do not make a guest boot.
  const place = ({ fault, operation }: Cell): number =>
    2 * faults.indexOf(fault) + (operation.name === "runp" ? 1 : 0);
  cells.sort((a, b) => place(a) - place(b));
  const gate = gateFor(busy);
  const ended = await Promise.allSettled(
    Array.from({ length: lanes }, (_, lane) => {
      const next = (): Cell | undefined => take(cells, lane % 3 === 0, skip);
      return runLane({ kept, gate, next, onResult }, lane === 0 ? site : undefined);
    }),
  );
  for (const end of ended) if (end.status === "rejected") throw end.reason;
}

/** Removes the next cell from the list: what waits for minutes is begun early, in lanes of its own (two of three), and overlaps. */
function take(cells: Cell[], quick: boolean, skip: MatrixRequest["skip"]): Cell | undefined {
  for (;;) {
    const own = cells.findIndex(({ fault }) => (fault.slow !== true) === quick);
    const [cell] = cells.splice(Math.max(own, 0), 1);
    if (cell === undefined || !skip(cell)) return cell;
  }
}

function cellsOf(request: MatrixRequest, operation: Operation, steps: readonly Step[]) {
  const { faults, choose } = request;
  const struck = faults.map((fault) => ({ fault, chosen: new Set(choose(operation, fault, steps)) }));
  return struck.flatMap(({ fault, chosen }) =>
    steps
      .filter((step) => chosen.has(step))
      .map(({ name: step, absent }) => ({
        cell: { operation, step, fault },
        absent: absent.includes(fault.name),
      })),
  );
}
