import { closeSync, constants, openSync, writeSync } from "node:fs";
import { monotonicSeconds } from "./monotonic.ts";

type Field = string | number | boolean | undefined;

let console: number | undefined;

/** Sends later lines to `path`; before, and where it cannot be opened, they go nowhere. */
export function logTo(path: string): void {
  if (console !== undefined) closeSync(console);
  console = undefined;
  try {
    // Never blocks: a console nobody reads must not stop the guest's first process.
    console = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch {
    // A guest without console is silent, not broken.
  }
}

/** One line: seconds since boot, a constant text, and what varies as fields. Dropped when the console is full. */
export function log(text: string, fields: Readonly<Record<string, Field>> = {}): void {
  if (console === undefined) return;
  try {
    writeSync(console, formatLine(monotonicSeconds(), text, fields));
  } catch {
    // EAGAIN, or the console is gone: there is nobody to tell.
  }
}

/** Values are quoted as JSON: whatever a guest's program puts into them stays on this line. */
export function formatLine(seconds: number, text: string, fields: Readonly<Record<string, Field>>): string {
  const rest = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => ` ${name}=${JSON.stringify(value)}`);
  return `[${seconds.toFixed(6).padStart(12)}] tapir-agent: ${text}${rest.join("")}\n`;
}
