import { copyFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { PROJECT } from "../harness/project.ts";
import { type Cell, type CellResult, runCell, stepsOf } from "./cell.ts";
import type { Choice } from "./choice.ts";
import { isGreen } from "./draw.ts";
import type { Fault } from "./faults.ts";
import type { Operation } from "./operations.ts";
import { openSite, type Site } from "./site.ts";

export interface MatrixRequest {
  readonly operations: readonly Operation[];
  readonly faults: readonly Fault[];
  readonly choose: Choice;
  /** A cell that was run before, or for which there is no time. */
  skip(cell: Cell): boolean;
  onSteps?(operation: Operation, steps: readonly string[]): void;
  onResult(result: CellResult): void;
}

/** Runs the cells one after the other at one site, and at a new one after a cell that left something behind. */
export async function runMatrix(request: MatrixRequest): Promise<void> {
  let site = await openSite();
  const renew = async (): Promise<Site> => {
    await site[Symbol.asyncDispose]();
    site = await openSite();
    return site;
  };
  try {
    for (const operation of request.operations) {
      const steps = await stepsOf(site, operation);
      request.onSteps?.(operation, steps);
      for (const cell of cellsOf(request, operation, steps)) {
        if (request.skip(cell)) continue;
        const result = await tryCell(site, cell, renew);
        if (result === undefined) continue;
        request.onResult(result);
        // What is left would be found again by every cell to come.
        if (isGreen(result)) continue;
        copyFileSync(site.node.containerd.log, logOf(result));
        await renew();
      }
    }
  } finally {
    await site[Symbol.asyncDispose]();
  }
}

/** Where containerd's log of a cell that is not green is kept. */
function logOf({ operation, step, fault }: CellResult): string {
  const directory = join(PROJECT, "build/logs");
  mkdirSync(directory, { recursive: true });
  return join(directory, `faults-${[operation, step, fault].join("-").replaceAll(/[^\w.-]/g, "_")}.log`);
}

function cellsOf(request: MatrixRequest, operation: Operation, steps: readonly string[]): Cell[] {
  const { faults, choose } = request;
  const struck = faults.map((fault) => ({ fault, chosen: new Set(choose(operation, fault, steps)) }));
  return steps.flatMap((step) =>
    struck.filter(({ chosen }) => chosen.has(step)).map(({ fault }) => ({ operation, step, fault })),
  );
}

/** A fault may have cost the template its trust: then the next pod takes other steps, and the cell is tried with a new one. */
async function tryCell(site: Site, cell: Cell, renew: () => Promise<Site>): Promise<CellResult | undefined> {
  const result = await runCell(site, cell);
  if (result === undefined || result.reached || result.leaks.length > 0) return result;
  return runCell(await renew(), cell);
}
