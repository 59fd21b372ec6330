import { parse, TomlError } from "smol-toml";
import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import type { Value } from "./key.ts";
import { isKey, type Section, schema } from "./schema.ts";
import { nearestKey } from "./suggest.ts";
import { checkValue } from "./validate.ts";

/**
 * The checked values of one TOML text by key path. Everything that is wrong with the text is said in one
 * INVALID_ARGUMENT that names `file` and the key's path, or the line for broken TOML.
 */
export function parseConfiguration(text: string, file: string): ReadonlyMap<string, Value> {
  const values = new Map<string, Value>();
  const problems: string[] = [];
  collect(parseToml(text, file), schema, "", values, problems);
  if (problems.length > 0) throw invalid(file, problems.join("; "));
  return values;
}

function collect(
  found: object,
  table: Section,
  section: string,
  values: Map<string, Value>,
  problems: string[],
): void {
  for (const [name, value] of Object.entries(found)) {
    const path = section === "" ? name : `${section}.${name}`;
    const entry = Object.hasOwn(table, name) ? table[name] : undefined;
    if (entry === undefined) {
      unknown(path, value, problems);
    } else if (!isKey(entry)) {
      if (isTable(value)) collect(value, entry, path, values, problems);
      else problems.push(`${path}: expected a table "[${path}]"`);
    } else {
      const checked = checkValue(entry, value);
      if ("problem" in checked) problems.push(`${path}: ${checked.problem}`);
      else values.set(path, checked.value);
    }
  }
}

// A table that is not known is reported by its keys: those are what the operator recognises.
function unknown(path: string, value: unknown, problems: string[]): void {
  if (isTable(value) && Object.keys(value).length > 0) {
    for (const [name, inner] of Object.entries(value)) unknown(`${path}.${name}`, inner, problems);
    return;
  }
  const nearest = nearestKey(path);
  problems.push(`${path}: unknown key${nearest === undefined ? "" : `, did you mean "${nearest}"?`}`);
}

function isTable(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

function parseToml(text: string, file: string): object {
  try {
    return parse(text, { integersAsBigInt: true });
  } catch (thrown) {
    if (!(thrown instanceof TomlError)) throw thrown;
    const reason = (thrown.message.split("\n")[0] ?? "").replace("Invalid TOML document: ", "");
    throw invalid(file, `line ${thrown.line}, column ${thrown.column}: ${reason}`);
  }
}

function invalid(file: string, cause: string): TapirError {
  return new TapirError({
    code: Code.INVALID_ARGUMENT,
    operation: "use",
    object: `configuration ${file}`,
    cause,
  });
}
