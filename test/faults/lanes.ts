import { copyFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { reasonOf } from "../../sys/error.ts";
import { PROJECT } from "../harness/project.ts";
import { type Cell, type CellResult, notRun, runCell } from "./cell.ts";
import { isRed } from "./draw.ts";
import type { Gate } from "./gate.ts";
import { type Kept, openSite, type Site } from "./site.ts";

/** What lanes share. */
export interface LaneRequest {
  readonly kept: Kept;
  /** How many cells keep the processors busy at a time: one that waits for a minute lets another in. */
  readonly gate: Gate;
  /** The next cell of a lane; undefined when there is none. */
  next(): Cell | undefined;
  onResult(result: CellResult): void;
}

/** Runs one cell after the other at its own site, and at a new one after a cell that left something behind. */
export async function runLane({ kept, gate, next, onResult }: LaneRequest, first?: Site): Promise<void> {
  let site = first;
  const renew = async (): Promise<Site> => {
    const old = site;
    site = undefined;
    await old?.[Symbol.asyncDispose]();
    site = await openSite(kept);
    return site;
  };
  /** A site that cannot be opened, or a pod that cannot be prepared, costs the cell and not the lane. */
  const attempt = async (cell: Cell, leave: () => void): Promise<CellResult> => {
    try {
      const result = await runCell(site ?? (await renew()), cell, leave);
      // A fault may have cost the template its trust: then the next pod takes other steps, and the cell is tried with a new one.
      if (result.reached || result.leaks.length > 0) return result;
      return await runCell(await renew(), cell, leave);
    } catch (error) {
      return notRun(cell, `the cell was not run: ${reasonOf(error).slice(0, 1000)}`);
    }
  };
  try {
    for (let cell = next(); cell !== undefined; cell = next()) {
      const leave = await gate.enter();
      try {
        const result = await attempt(cell, leave);
        onResult(result);
        if (isRed(result) && site !== undefined) {
          copyFileSync(site.node.containerd.log, logOf(result));
          // What is left would be found again by every cell to come.
          const old = site;
          site = undefined;
          await Promise.resolve(old[Symbol.asyncDispose]()).catch(() => undefined);
        }
      } finally {
        leave();
      }
    }
  } finally {
    await site?.[Symbol.asyncDispose]();
  }
}

/** Where containerd's log of a cell that is red is kept. */
function logOf({ operation, step, fault }: CellResult): string {
  const directory = join(PROJECT, "build/logs");
  mkdirSync(directory, { recursive: true });
  return join(directory, `faults-${[operation, step, fault].join("-").replaceAll(/[^\w.-]/g, "_")}.log`);
}
