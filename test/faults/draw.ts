import type { CellResult } from "./cell.ts";

export const isRed = ({ problems, leaks }: CellResult): boolean => problems.length + leaks.length > 0;
/** A fault has struck, and nothing is wrong and nothing is left. */
export const isGreen = (cell: CellResult): boolean => cell.struck && !isRed(cell);
/** Nothing is wrong, but nothing was there to be struck. */
export const isNotApplicable = (cell: CellResult): boolean => !cell.struck && !isRed(cell);

interface Row {
  readonly title: string;
  readonly cells: readonly (CellResult | undefined)[];
}

function rowsOf(results: readonly CellResult[]): { faults: string[]; rows: Row[] } {
  const faults = [...new Set(results.map(({ fault }) => fault))];
  const titles = [...new Set(results.map(titleOf))];
  const rows = titles.map((title) => ({
    title,
    cells: faults.map((fault) => results.find((cell) => titleOf(cell) === title && cell.fault === fault)),
  }));
  return { faults, rows };
}

const titleOf = ({ operation, step }: CellResult): string => `${operation} · ${step}`;

/** Steps downwards, faults to the right: "■" green, "×" not, "-" nothing to strike, " " not run; below, what was wrong. */
export function drawText(results: readonly CellResult[]): string {
  const { faults, rows } = rowsOf(results);
  const width = Math.max(0, ...rows.map(({ title }) => title.length));
  const legend = faults.map((fault, index) => `${letter(index)} = ${fault}`).join("   ");
  const head = `${" ".repeat(width)}  ${faults.map((_, index) => letter(index)).join(" ")}`;
  const lines = rows.map(({ title, cells }) => `${title.padEnd(width)}  ${cells.map(mark).join(" ")}`);
  const wrong = results.filter(isRed).flatMap(describe);
  return [legend, "", head, ...lines, ...(wrong.length === 0 ? [] : ["", ...wrong]), ""].join("\n");
}

const letter = (index: number): string => String.fromCharCode("A".charCodeAt(0) + index);

function mark(cell: CellResult | undefined): string {
  if (cell === undefined) return " ";
  return isRed(cell) ? "×" : isGreen(cell) ? "■" : "-";
}

function describe(cell: CellResult): string[] {
  const title = `${titleOf(cell)}: ${cell.fault} (${cell.ms} ms)`;
  return [
    title,
    ...[...cell.problems, ...cell.leaks.map((leak) => `left: ${leak}`)].map((line) => `  ${line}`),
  ];
}

const CELL = 18;
const LEFT = 260;
const TOP = 120;

/** The same as a picture. */
export function drawSvg(results: readonly CellResult[]): string {
  const { faults, rows } = rowsOf(results);
  const [width, height] = [LEFT + faults.length * CELL + 10, TOP + rows.length * CELL + 10];
  const heads = faults.map((fault, index) => {
    const [x, y] = [LEFT + index * CELL + CELL / 2, TOP - 6];
    return `<text x="${x}" y="${y}" transform="rotate(-60 ${x} ${y})">${fault}</text>`;
  });
  const body = rows.flatMap(({ title, cells }, row) => {
    const y = TOP + row * CELL;
    const boxes = cells.map((cell, column) =>
      cell === undefined ? "" : box(LEFT + column * CELL, y, colour(cell)),
    );
    return [`<text x="${LEFT - 8}" y="${y + CELL - 5}" text-anchor="end">${title}</text>`, ...boxes];
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="sans-serif" font-size="11">`,
    "<title>Fault matrix</title>",
    ...heads,
    ...body,
    "</svg>",
    "",
  ].join("\n");
}

const colour = (cell: CellResult): string =>
  isRed(cell) ? "#c62828" : isGreen(cell) ? "#2e7d32" : "#e0e0e0";
const box = (x: number, y: number, fill: string): string =>
  `<rect x="${x + 1}" y="${y + 1}" width="${CELL - 2}" height="${CELL - 2}" fill="${fill}"/>`;
