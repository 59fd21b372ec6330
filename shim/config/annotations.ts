import { matchesGlob } from "node:path";
import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import type { Value } from "./key.ts";
import type { LoadedConfiguration } from "./load.ts";
import { assemble, type SchemaKey, schemaKeys } from "./schema.ts";
import { nearestKey } from "./suggest.ts";
import { checkText } from "./validate.ts";

/** What the names of annotations that change the configuration begin with. */
export const annotationPrefix = "io.tapir.config.";

/**
 * The configuration as a pod's annotations `io.tapir.config.<section>.<key>` change it. Other annotations are
 * not looked at. Throws INVALID_ARGUMENT for an unknown key or a bad value and PERMISSION_DENIED for one that the
 * operator did not allow, with the line that would.
 */
export function applyAnnotations(
  loaded: LoadedConfiguration,
  annotations: Readonly<Record<string, string>>,
): LoadedConfiguration {
  const values = new Map<string, Value>(loaded.values);
  const origins = new Map<string, string>(loaded.origins);
  for (const [name, text] of Object.entries(annotations)) {
    if (!name.startsWith(annotationPrefix)) continue;
    const path = name.slice(annotationPrefix.length);
    values.set(path, allowedValue(loaded, name, path, text));
    origins.set(path, `annotation ${name}`);
  }
  return { ...loaded, configuration: assemble(values), values, origins };
}

function allowedValue(loaded: LoadedConfiguration, name: string, path: string, text: string): Value {
  const entry = schemaKeys.get(path);
  if (entry === undefined) {
    const nearest = nearestKey(path);
    const hint = nearest === undefined ? {} : { hint: `did you mean "${annotationPrefix}${nearest}"?` };
    throw failure(Code.INVALID_ARGUMENT, name, { cause: `there is no key "${path}"`, ...hint });
  }
  const refusal = refuse(loaded, entry, text);
  if (refusal !== undefined) throw failure(Code.PERMISSION_DENIED, name, refusal);
  const checked = checkText(entry.key, text);
  if ("problem" in checked) throw failure(Code.INVALID_ARGUMENT, name, { cause: checked.problem });
  return checked.value;
}

interface Reason {
  readonly cause: string;
  readonly hint?: string;
}

function refuse(loaded: LoadedConfiguration, entry: SchemaKey, text: string): Reason | undefined {
  if (entry.key.nodeWide) return { cause: `"${entry.path}" belongs to the node, no pod may change it` };
  const { enableAnnotations, validAnnotationPaths } = loaded.configuration.runtime;
  if (!enableAnnotations.some((pattern) => names(pattern, entry))) {
    return {
      cause: "this node does not allow it",
      hint: `to allow it add "${entry.name}" to enable_annotations in section [runtime] of the node's configuration`,
    };
  }
  if (entry.key.kind !== "path" || validAnnotationPaths.some((glob) => matchesGlob(text, glob)))
    return undefined;
  return {
    cause: `this node does not allow the path ${JSON.stringify(text)}`,
    hint: "to allow it add it to valid_annotation_paths in section [runtime] of the node's configuration",
  };
}

/** An entry of enable_annotations means a whole key name or a whole key path. */
function names(pattern: string, entry: SchemaKey): boolean {
  const whole = new RegExp(`^(?:${pattern})$`);
  return whole.test(entry.name) || whole.test(entry.path);
}

function failure(code: Code, name: string, reason: Reason): TapirError {
  return new TapirError({ code, operation: "use", object: `annotation ${name}`, ...reason });
}
