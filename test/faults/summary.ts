import type { Cell, CellResult } from "./cell.ts";
import { isGreen, isNotApplicable, isRed } from "./draw.ts";

/** What will be run: cells of each operation, and how many of them wait for a minute or more. */
export function planText(cells: readonly Cell[]): string {
  const slow = (some: readonly Cell[]): number => some.filter(({ fault }) => fault.slow === true).length;
  const operations = Object.entries(Object.groupBy(cells, ({ operation }) => operation.name));
  const parts = operations.map(([name, own = []]) => `${name} ${own.length} (${slow(own)} slow)`);
  return `${cells.length} cells (${slow(cells)} slow): ${parts.join(", ")}`;
}

/** Cells of each operation and where their time went, on average; the faults that took most of it. */
export function summaryText(all: readonly CellResult[]): string {
  const cells = all.filter((cell) => !isNotApplicable(cell));
  const parts = [...new Set(cells.flatMap(({ times }) => Object.keys(times)))];
  const head = ["", "cells", "green", "red", "s/cell", ...parts];
  const rows = [
    ...rowsBy(cells, ({ operation }) => operation, parts),
    head.map(() => ""),
    ...rowsBy(cells, ({ fault }) => fault, parts),
    rowOf("all", cells, parts),
  ];
  return table([head, ...rows]);
}

function rowsBy(
  cells: readonly CellResult[],
  key: (cell: CellResult) => string,
  parts: readonly string[],
): string[][] {
  const groups = Object.entries(Object.groupBy(cells, key));
  return groups.map(([name, own = []]) => rowOf(name, own, parts));
}

function rowOf(name: string, cells: readonly CellResult[], parts: readonly string[]): string[] {
  const mean = (time: (cell: CellResult) => number): string =>
    (cells.reduce((sum, cell) => sum + time(cell), 0) / Math.max(1, cells.length) / 1000).toFixed(1);
  const whole = ({ times }: CellResult): number => Object.values(times).reduce((sum, ms) => sum + ms, 0);
  const counts = [cells.length, cells.filter(isGreen).length, cells.filter(isRed).length].map(String);
  return [name, ...counts, mean(whole), ...parts.map((part) => mean(({ times }) => times[part] ?? 0))];
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? "").length)),
  );
  const pad = (text: string, column: number): string =>
    column === 0 ? text.padEnd(widths[column] ?? 0) : text.padStart(widths[column] ?? 0);
  return rows.map((row) => row.map(pad).join("  ").trimEnd()).join("\n");
}
