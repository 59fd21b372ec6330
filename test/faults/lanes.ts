import { copyFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { PROJECT } from "../harness/project.ts";
import { type Cell, type CellResult, runCell } from "./cell.ts";
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
    await site?.[Symbol.asyncDispose]();
    site = undefined;
    site = await openSite(kept);
    return site;
  };
  try {
    for (let cell = next(); cell !== undefined; cell = next()) {
      const leave = await gate.enter();
      try {
        let result = await runCell(site ?? (await renew()), cell, leave);
        // A fault may have cost the template its trust: then the next pod takes other steps, and the cell is tried with a new one.
        if (!result.reached && result.leaks.length === 0) result = await runCell(await renew(), cell, leave);
        onResult(result);
        if (isRed(result) && site !== undefined) {
          copyFileSync(site.node.containerd.log, logOf(result));
          // What is left would be found again by every cell to come.
          await site[Symbol.asyncDispose]();
          site = undefined;
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
