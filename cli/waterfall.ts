import type { TimelineStep } from "../shim/state/timeline.ts";
import { table } from "./table.ts";

/** What is filled of a cell from its left side, in eighths. */
const LEFT_EIGHTHS = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"] as const;
const FULL = "█";
const RIGHT_HALF = "▐";
/** Anything that took time is to be seen. */
const SPECK = "▏";
const MIN_BAR_COLUMNS = 10;
const MAX_BAR_COLUMNS = 100;

export interface WaterfallLook {
  /** What the whole width stands for; not set: the end of the last step. Two waterfalls of one scale can be compared. */
  readonly scaleMs?: number;
  /** Adds a column: each step's share of so much time, in percent. Steps may run side by side. */
  readonly shareOfMs?: number;
}

/** The steps of a start one below the other, each with its bar where it ran. `columns`: width of the terminal. Pure. */
export function waterfall(
  steps: readonly TimelineStep[],
  columns: number,
  { scaleMs, shareOfMs }: WaterfallLook = {},
): string {
  const totalMs = endOf(steps);
  const row = (name: string, startMs: number, ms: number): string[] => [
    name,
    milliseconds(startMs),
    milliseconds(ms),
    ...(shareOfMs === undefined ? [] : [`${((100 * ms) / shareOfMs).toFixed(0)} %`.padStart(5)]),
  ];
  const rows = steps.map(({ name, startMs, endMs }) => row(name, startMs, endMs - startMs));
  const heads = ["STEP", " START", "    MS", ...(shareOfMs === undefined ? [] : ["SHARE"])];
  const left = table(heads, [...rows, row("total", 0, totalMs)])
    .trimEnd()
    .split("\n");
  const leftWidth = Math.max(...left.map((line) => line.length)) + 2;
  const width = Math.min(MAX_BAR_COLUMNS, Math.max(MIN_BAR_COLUMNS, columns - leftWidth));
  const bars = ["", ...steps.map((step) => bar(step, scaleMs ?? totalMs, width)), ""];
  return left.map((line, index) => `${line.padEnd(leftWidth)}${bars[index]}`.trimEnd().concat("\n")).join("");
}

/** The end of the last step; 0 when there is none. */
export function endOf(steps: readonly TimelineStep[]): number {
  return Math.max(0, ...steps.map(({ endMs }) => endMs));
}

function bar({ startMs, endMs }: TimelineStep, totalMs: number, width: number): string {
  if (totalMs <= 0) return "";
  const from = (Math.max(0, startMs) / totalMs) * width;
  const to = (Math.max(startMs, endMs) / totalMs) * width;
  const first = Math.min(Math.floor(from), width - 1);
  const last = Math.floor(to);
  if (to - from < 1 / 8) return " ".repeat(first) + SPECK;
  if (last === first) return " ".repeat(first) + eighths(to - from);
  const head = from - first > 0.5 ? RIGHT_HALF : FULL;
  return " ".repeat(first) + head + FULL.repeat(last - first - 1) + eighths(to - last);
}

function eighths(part: number): string {
  return LEFT_EIGHTHS[Math.floor(part * 8)] ?? FULL;
}

function milliseconds(value: number): string {
  return value.toFixed(value < 100 ? 1 : 0).padStart(6);
}
