import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Cell, type CellResult, runCell, stepsOf } from "./cell.ts";
import { drawSvg, drawText, isGreen } from "./draw.ts";
import { FAULTS } from "./faults.ts";
import { OPERATIONS } from "./operations.ts";
import { openSite, type Site } from "./site.ts";

/**
 * `npm run test:faults [-- <operation or fault> ...]`: every fault at every step of every operation, or of those named. Prints
 * the matrix and writes it to `results.json` and `matrix.svg` beside this file. Exit code 0 when all of it is green.
 */
const words = process.argv.slice(2);
const chosen = <T extends { readonly name: string }>(all: readonly T[]): readonly T[] => {
  const named = all.filter(({ name }) => words.includes(name));
  return named.length === 0 ? all : named;
};

const print = (text: string): boolean => process.stdout.write(`${text}\n`);
const results: CellResult[] = [];
let site: Site = await openSite();
try {
  for (const operation of chosen(OPERATIONS)) {
    const steps = await stepsOf(site, operation);
    print(`${operation.name}: ${steps.join(" ")}`);
    for (const step of steps) {
      for (const fault of chosen(FAULTS)) {
        const result = await cell({ operation, step, fault });
        if (result === undefined) continue;
        results.push(result);
        if (isGreen(result)) continue;
        print(drawText([result]));
        // What is left would be found again by every cell to come.
        await site[Symbol.asyncDispose]();
        site = await openSite();
      }
    }
  }
} finally {
  await site[Symbol.asyncDispose]();
  report();
}

/** A fault may have cost the template its trust: then the next pod takes other steps, and the cell is tried with a new one. */
async function cell(which: Cell): Promise<CellResult | undefined> {
  const result = await runCell(site, which);
  if (result === undefined || result.reached || result.leaks.length > 0) return result;
  await site[Symbol.asyncDispose]();
  site = await openSite();
  return runCell(site, which);
}

function report(): void {
  const green = results.filter(isGreen).length;
  const leaks = results.flatMap((cell) => cell.leaks);
  const directory = import.meta.dirname;
  mkdirSync(directory, { recursive: true });
  const summary = { cells: results.length, green, leaks: leaks.length, results };
  writeFileSync(join(directory, "results.json"), `${JSON.stringify(summary, null, 2)}\n`);
  writeFileSync(join(directory, "matrix.svg"), drawSvg(results));
  print(`${drawText(results)}\n${results.length} cells, ${green} green, ${leaks.length} leaks`);
  process.exitCode = green === results.length ? 0 : 1;
}
