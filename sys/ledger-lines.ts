import { readFileSync } from "node:fs";
import { join } from "node:path";
import { errnoOf, wrapError } from "./error.ts";
import type { ProcessIdentity } from "./identity.ts";
import type { Undo } from "./undo/entry.ts";

/** A ledger's file in its state directory: a line of JSON for each thing that happened. */
export const FILE = "ledger";

export type Line =
  | { readonly owner: ProcessIdentity }
  | { readonly id: number; readonly step: string; readonly undo: Undo }
  | { readonly id: number; readonly done: true };

/**
 * The lines of the ledger in `directory`; none when it has none. Errors: the file cannot be read.
 * A torn last line (the writer was killed) is no line, nor is what cannot be one: the others are still to be undone.
 */
export function readLines(directory: string): Line[] {
  try {
    const text = readFileSync(join(directory, FILE), "utf8");
    return text
      .split("\n")
      .slice(0, -1)
      .map(parseLine)
      .filter((line) => line !== undefined);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw wrapError(error, { operation: "read", object: `ledger of ${directory}` });
  }
}

function parseLine(text: string): Line | undefined {
  let line: unknown;
  try {
    line = JSON.parse(text);
  } catch {
    return undefined;
  }
  return isLine(line) ? line : undefined;
}

function isLine(line: unknown): line is Line {
  if (!isRecord(line)) return false;
  if ("owner" in line) return isRecord(line.owner);
  return "done" in line || (typeof line.step === "string" && isRecord(line.undo));
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
