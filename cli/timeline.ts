import { writeFileSync } from "node:fs";
import { readTimeline, type TimelineStep } from "../shim/state/timeline.ts";
import { findSandbox } from "./sandboxes.ts";
import { table } from "./table.ts";
import { waterfall } from "./waterfall.ts";
import { waterfallSvg } from "./waterfall-svg.ts";

const USUAL_COLUMNS = 100;

/** What containers need, and the first may have waited for. It may have come much later than the start, so it has no bar. */
function afterwards(later: readonly TimelineStep[]): string {
  const rows = later.map(({ name, startMs, endMs }) => [
    name,
    startMs.toFixed(0).padStart(6),
    (endMs - startMs).toFixed(0).padStart(6),
  ]);
  return rows.length === 0 ? "" : `\n${table(["FOR CONTAINERS", " START", "    MS"], rows)}`;
}

/** `tapir timeline`: what took how long when this pod started. */
export function showTimeline(
  prefix: string,
  options: { readonly svg?: string; readonly json?: boolean },
): void {
  const { id, directory } = findSandbox(prefix);
  const { originEpochMs, steps, later } = readTimeline(directory);
  if (options.svg !== undefined) {
    writeFileSync(options.svg, waterfallSvg(`Start of pod ${id.slice(0, 13)}`, steps));
    return;
  }
  process.stdout.write(
    options.json === true
      ? `${JSON.stringify({ id, originEpochMs, steps, later }, undefined, 2)}\n`
      : waterfall(steps, process.stdout.columns ?? USUAL_COLUMNS) + afterwards(later),
  );
}
