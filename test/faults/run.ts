import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Cell, CellResult } from "./cell.ts";
import { diagonals, theseSteps } from "./choice.ts";
import { drawSvg, drawText, isGreen } from "./draw.ts";
import { FAULTS } from "./faults.ts";
import { runMatrix } from "./matrix.ts";
import { OPERATIONS } from "./operations.ts";

/**
 * `npm run test:faults [-- <operation or fault> ...]`: every fault at every step of every operation, or of those named. Prints
 * the matrix and writes it to `results.json` and `matrix.svg` beside this file. Exit code 0 when all of it is green.
 * `--step network.tap`: that one only; `--every 3`: a third of it (choice.ts); `--seconds 240`: no new cell after that; `--resume`: not the cells that were green before.
 */
const { values, positionals: words } = parseArgs({
  allowPositionals: true,
  options: {
    step: { type: "string", multiple: true, default: [] },
    every: { type: "string", default: "1" },
    seconds: { type: "string", default: "Infinity" },
    resume: { type: "boolean", default: false },
  },
});
const known = new Set([...OPERATIONS, ...FAULTS].map(({ name }) => name));
const unknown = words.filter((word) => !known.has(word));
if (unknown.length > 0) throw new Error(`no operation or fault: ${unknown.join(", ")}`);
const chosen = <T extends { readonly name: string }>(all: readonly T[]): readonly T[] => {
  const named = all.filter(({ name }) => words.includes(name));
  return named.length === 0 ? all : named;
};

const print = (text: string): boolean => process.stdout.write(`${text}\n`);
const resultsFile = join(import.meta.dirname, "results.json");
const key = (operation: string, step: string, fault: string): string => [operation, step, fault].join("|");
const keyOf = (cell: CellResult): string => key(cell.operation, cell.step, cell.fault);

const results = new Map<string, CellResult>();
if (values.resume && existsSync(resultsFile)) {
  const before = JSON.parse(readFileSync(resultsFile, "utf8")) as { results: CellResult[] };
  for (const cell of before.results) results.set(keyOf(cell), cell);
}
const endMs = performance.now() + Number(values.seconds) * 1000;
const isDone = ({ operation, step, fault }: Cell): boolean => {
  const before = results.get(key(operation.name, step, fault.name));
  return before !== undefined && isGreen(before);
};
let left = 0;

try {
  await runMatrix({
    operations: chosen(OPERATIONS),
    faults: chosen(FAULTS),
    choose: values.step.length === 0 ? diagonals(Number(values.every)) : theseSteps(values.step),
    skip(cell) {
      if (isDone(cell)) return true;
      if (performance.now() < endMs) return false;
      left += 1;
      return true;
    },
    onSteps: ({ name }, steps) => print(`${name}: ${steps.join(" ")}`),
    onResult(result) {
      results.set(keyOf(result), result);
      print(`${isGreen(result) ? "■" : "×"} ${keyOf(result)} (${result.ms} ms)`);
      if (!isGreen(result)) print(drawText([result]));
    },
  });
} finally {
  report([...results.values()]);
}

function report(cells: readonly CellResult[]): void {
  const green = cells.filter(isGreen).length;
  const leaks = cells.flatMap((cell) => cell.leaks);
  const summary = { cells: cells.length, green, leaks: leaks.length, results: cells };
  writeFileSync(resultsFile, `${JSON.stringify(summary, null, 2)}\n`);
  writeFileSync(join(import.meta.dirname, "matrix.svg"), drawSvg(cells));
  print(`${drawText(cells)}\n${cells.length} cells, ${green} green, ${leaks.length} leaks`);
  if (left > 0) print(`${left} cells not run: no time`);
  process.exitCode = green === cells.length && left === 0 ? 0 : 1;
}
