import { writeFileSync } from "node:fs";
import { readTimeline } from "../shim/state/timeline.ts";
import { findSandbox } from "./sandboxes.ts";
import { waterfall } from "./waterfall.ts";
import { waterfallSvg } from "./waterfall-svg.ts";

const USUAL_COLUMNS = 100;

/** `tapir timeline`: what took how long when this pod started. */
export function showTimeline(
  prefix: string,
  options: { readonly svg?: string; readonly json?: boolean },
): void {
  const { id, directory } = findSandbox(prefix);
  const { originEpochMs, steps } = readTimeline(directory);
  if (options.svg !== undefined) {
    writeFileSync(options.svg, waterfallSvg(`Start of pod ${id.slice(0, 13)}`, steps));
    return;
  }
  process.stdout.write(
    options.json === true
      ? `${JSON.stringify({ id, originEpochMs, steps }, undefined, 2)}\n`
      : waterfall(steps, process.stdout.columns ?? USUAL_COLUMNS),
  );
}
