import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Cell, CellResult } from "./cell.ts";
import { diagonals, theseSteps } from "./choice.ts";
import { drawSvg, drawText, isGreen, isNotApplicable, isRed } from "./draw.ts";
import { FAULTS } from "./faults.ts";
import { runMatrix } from "./matrix.ts";
import { OPERATIONS } from "./operations.ts";
import type { Step } from "./steps.ts";
import { planText, summaryText } from "./summary.ts";

/**
 * `npm run test:faults [-- <operation or fault> ...]`: every fault at every step of every operation, or of those named. Prints
 * the matrix and writes it to `results.json` and `matrix.svg` beside this file. Exit code 0 when all of it is green.
 * `--count`: says how many cells that are, and runs none. `--step network.tap`: that one only; `--every 3`: a third of it (choice.ts); `--seconds 240`: no new cell after that;
 * `--resume`: not the cells that were green before, of the steps found then; `--lanes 12 --busy 2`: so many nodes side by side, of which so many keep
 * the processors busy, so that cells which wait for a minute overlap; `--templates /dev/shm/t`: what guests are restored from stays
 * there for the next run. Interrupted, it begins no new cell.
 */
const { values, positionals: words } = parseArgs({
  allowPositionals: true,
  options: {
    step: { type: "string", multiple: true, default: [] },
    every: { type: "string", default: "1" },
    seconds: { type: "string", default: "Infinity" },
    resume: { type: "boolean", default: false },
    count: { type: "boolean", default: false },
    templates: { type: "string" },
    lanes: { type: "string", default: "12" },
    busy: { type: "string", default: "2" },
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
const stepsOf: Record<string, readonly Step[]> = {};
if (values.resume && existsSync(resultsFile)) {
  const before = JSON.parse(readFileSync(resultsFile, "utf8")) as {
    steps: Record<string, readonly Step[]>;
    results: CellResult[];
  };
  Object.assign(stepsOf, before.steps);
  for (const cell of before.results) results.set(keyOf(cell), { ...cell, times: cell.times ?? {} });
}
const startMs = performance.now();
let endMs = startMs + Number(values.seconds) * 1000;
// The cells that run come to their ends, and take their nodes with them.
for (const name of ["SIGINT", "SIGTERM"] as const)
  process.once(name, () => {
    endMs = 0;
  });
const isDone = ({ operation, step, fault }: Cell): boolean => {
  const before = results.get(key(operation.name, step, fault.name));
  return before !== undefined && !isRed(before);
};
let left = 0;

try {
  await runMatrix({
    operations: chosen(OPERATIONS),
    faults: chosen(FAULTS),
    templates: values.templates,
    lanes: Number(values.lanes),
    busy: Number(values.busy),
    choose: values.step.length === 0 ? diagonals(Number(values.every)) : theseSteps(values.step),
    skip(cell) {
      if (isDone(cell) || values.count) return true;
      if (performance.now() < endMs) return false;
      left += 1;
      return true;
    },
    steps: ({ name }) => stepsOf[name],
    onSteps({ name }, steps) {
      stepsOf[name] = steps;
      print(`${name}: ${steps.map((step) => step.name).join(" ")}`);
    },
    onPlan(cells) {
      print(planText(cells));
    },
    onResult(result) {
      results.set(keyOf(result), result);
      write([...results.values()]);
      if (isNotApplicable(result)) return;
      print(`${isGreen(result) ? "■" : "×"} ${keyOf(result)} (${result.ms} ms)`);
      if (isRed(result)) print(drawText([result]));
    },
  });
} finally {
  report([...results.values()]);
}

/** After each cell: a run of hours may end at any time. */
function write(cells: readonly CellResult[]): void {
  writeFileSync(
    resultsFile,
    `${JSON.stringify({ ...count(cells), steps: stepsOf, results: cells }, null, 1)}\n`,
  );
}

/** A cell where there was nothing to strike is none. */
function count(all: readonly CellResult[]) {
  const cells = all.filter((cell) => !isNotApplicable(cell));
  const leaks = cells.reduce((sum, cell) => sum + cell.leaks.length, 0);
  return {
    cells: cells.length,
    green: cells.filter(isGreen).length,
    red: cells.filter(isRed).length,
    notApplicable: all.length - cells.length,
    leaks,
  };
}

function report(all: readonly CellResult[]): void {
  write(all);
  writeFileSync(join(import.meta.dirname, "matrix.svg"), drawSvg(all));
  const { cells, green, red, notApplicable, leaks } = count(all);
  print(`${drawText(all)}\n${summaryText(all)}\n`);
  const minutes = Math.round((performance.now() - startMs) / 60_000);
  print(`${cells} cells, ${green} green, ${red} red, ${leaks} leaks; ${minutes} min`);
  if (notApplicable > 0) print(`${notApplicable} more: nothing there that the fault could strike`);
  if (left > 0) print(`${left} cells not run: no time`);
  process.exitCode = red === 0 && left === 0 ? 0 : 1;
}
