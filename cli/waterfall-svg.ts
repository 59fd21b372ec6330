import type { TimelineStep } from "../shim/state/timeline.ts";
import { endOf } from "./waterfall.ts";

const WIDTH = 960;
const ROW = 24;
const TOP = 56;
const NAMES = 200;
const RIGHT = 70;
const BARS = WIDTH - NAMES - RIGHT;
const MAX_TICKS = 10;

/** The same as an SVG picture that stands alone: fonts of the viewer, light and dark. Pure. */
export function waterfallSvg(title: string, steps: readonly TimelineStep[]): string {
  const totalMs = endOf(steps);
  const height = TOP + ROW * steps.length + 12;
  const x = (ms: number): number => NAMES + (totalMs === 0 ? 0 : (Math.max(0, ms) / totalMs) * BARS);
  const ticks = tickMarks(totalMs).map((ms) => {
    const at = round(x(ms));
    return (
      `<line class="tick" x1="${at}" y1="${TOP - 6}" x2="${at}" y2="${height - 12}"/>` +
      `<text class="time" text-anchor="middle" x="${at}" y="${TOP - 12}">${ms} ms</text>`
    );
  });
  const rows = steps.map(({ name, startMs, endMs }, index) => {
    const y = TOP + ROW * index;
    const from = x(startMs);
    const to = Math.max(x(endMs), from + 1);
    const fill = name.startsWith("guest:") ? "guest" : "host";
    return (
      `<text text-anchor="end" x="${NAMES - 8}" y="${y + 16}">${escapeText(name)}</text>` +
      `<rect class="${fill}" x="${round(from)}" y="${y + 4}" width="${round(to - from)}" height="${ROW - 8}" rx="2"/>` +
      `<text class="time" x="${round(to + 4)}" y="${y + 16}">${duration(endMs - startMs)}</text>`
    );
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}">
<style>
text { font: 12px system-ui, sans-serif; fill: #222; }
.title { font-weight: 600; font-size: 14px; }
.time { fill: #666; font-size: 11px; }
.tick { stroke: #ddd; }
.host { fill: #2f6f9f; }
.guest { fill: #8fb8d6; }
@media (prefers-color-scheme: dark) { text { fill: #eee; } .time { fill: #aaa; } .tick { stroke: #444; } }
</style>
<text class="title" x="8" y="20">${escapeText(title)}: ${duration(totalMs)}</text>
${[...ticks, ...rows].join("\n")}
</svg>
`;
}

/** Round numbers from 0 on, at most ten of them. */
function tickMarks(totalMs: number): number[] {
  if (totalMs <= 0) return [0];
  const rough = totalMs / MAX_TICKS;
  const power = 10 ** Math.floor(Math.log10(rough));
  const stride = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= rough) ?? rough;
  return Array.from({ length: Math.floor(totalMs / stride) + 1 }, (_, index) =>
    Number((index * stride).toPrecision(6)),
  );
}

const round = (value: number): string => value.toFixed(1);
const duration = (ms: number): string => `${ms.toFixed(ms < 100 ? 1 : 0)} ms`;

function escapeText(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
