import { expectation, type Key, type Value } from "./key.ts";
import { schemaKeys } from "./schema.ts";

const header = `# Configuration of Tapir. Every key stands here with its default, commented out: a line that stays a comment
# follows the default of the version installed.
#
# Read in this order, the first that exists: the file that the runtime options of the handler name (ConfigPath),
# the file that the environment variable TAPIR_CONFIG names, /etc/tapir/configuration.toml,
# /usr/share/defaults/tapir/configuration.toml. Then config.d/*.toml beside that file in the order of their names,
# and /etc/tapir/config.d/*.toml; what comes later wins. A pod may change only what enable_annotations lists.
`;

/** The text of `configs/configuration.toml`. */
export function renderToml(): string {
  const lines: string[] = [header];
  let section = "";
  for (const entry of schemaKeys.values()) {
    if (entry.section !== section) {
      section = entry.section;
      lines.push(`[${section}]`, "");
    }
    lines.push(`# ${entry.key.doc}`, `# Values: ${expectation(entry.key)}.`);
    lines.push(`#${entry.name} = ${tomlValue(entry.key, entry.key.default)}`, "");
  }
  return `${lines.join("\n").trimEnd()}\n`;
}

/** A value as it is written in the file. */
export function tomlValue(key: Key, value: Value): string {
  if (key.kind === "words" && Array.isArray(value)) return JSON.stringify(value.join(" "));
  return JSON.stringify(value);
}
