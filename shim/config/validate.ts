import { isAbsolute, normalize } from "node:path";
import { expectation, type Key, type Value } from "./key.ts";

/** A checked value, or the sentence that says what is wrong with it. */
export type Checked = { readonly value: Value } | { readonly problem: string };

/** Checks what the TOML parser read for a key: integers come as bigint, so that 1 and 1.0 differ. */
export function checkValue(key: Key, found: unknown): Checked {
  const value = convert(key, found);
  return value === undefined
    ? { problem: `expected ${expectation(key)}, got ${shown(found)}` }
    : { value: value };
}

/** Checks the text of an annotation for a key, as if it stood in the file. */
export function checkText(key: Key, text: string): Checked {
  const value = convert(key, typed(key, text));
  return value === undefined
    ? { problem: `expected ${expectation(key)}, got ${JSON.stringify(text)}` }
    : { value: value };
}

function typed(key: Key, text: string): unknown {
  if (key.kind === "integer") return /^[0-9]{1,15}$/.test(text) ? BigInt(text) : undefined;
  if (key.kind === "boolean") return text === "true" ? true : text === "false" ? false : undefined;
  return text;
}

function convert(key: Key, found: unknown): Value | undefined {
  switch (key.kind) {
    case "integer": {
      if (typeof found !== "bigint") return undefined;
      return found >= key.minimum && found <= key.maximum ? Number(found) : undefined;
    }
    case "boolean":
      return typeof found === "boolean" ? found : undefined;
    case "choice":
      return key.values.find((value) => value === found);
    case "path":
      return isPath(found) || (key.optional && found === "") ? found : undefined;
    case "words":
      return typeof found === "string" && found.length <= key.maximumLength ? splitWords(found) : undefined;
    case "patterns":
      return listOf(found, isPattern);
    case "globs":
      return listOf(found, isPath);
  }
}

function listOf(found: unknown, is: (entry: unknown) => entry is string): readonly string[] | undefined {
  return Array.isArray(found) && found.every(is) ? found : undefined;
}

// A path that is not in its shortest form (`/usr/../etc/x`) would slip through a list of allowed paths.
function isPath(found: unknown): found is string {
  if (typeof found !== "string" || !isAbsolute(found) || isControlled(found)) return false;
  return normalize(found) === found && (found === "/" || !found.endsWith("/"));
}

function isPattern(found: unknown): found is string {
  if (typeof found !== "string" || found === "") return false;
  try {
    new RegExp(found);
    return true;
  } catch {
    return false;
  }
}

/** Words of a kernel command line; undefined when a quote stays open or a character cannot be part of one. */
function splitWords(text: string): readonly string[] | undefined {
  if (isControlled(text.replace(/[\t\n]/g, " "))) return undefined;
  const found = text.match(/(?:[^\s"]|"[^"]*")+/g) ?? [];
  return (text.match(/"/g)?.length ?? 0) % 2 === 0 ? found : undefined;
}

function isControlled(text: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not get through
  return /[\u0000-\u001f\u007f]/.test(text);
}

const shownLength = 60;

/** A value of the file as the operator wrote it, cut when long. */
function shown(found: unknown): string {
  if (found instanceof Date) return `the date ${found.toISOString()}`;
  if (typeof found === "object" && found !== null && !Array.isArray(found)) return "a table";
  const text = JSON.stringify(found, (_, part: unknown) => (typeof part === "bigint" ? Number(part) : part));
  return text.length > shownLength ? `${text.slice(0, shownLength)}…` : text;
}
