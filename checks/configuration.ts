import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { renderMarkdown } from "../shim/config/render-markdown.ts";
import { renderToml } from "../shim/config/render-toml.ts";
import { camelCase, type SchemaKey, schemaKeys } from "../shim/config/schema.ts";
import type { Check, Problem } from "./problem.ts";
import { isTest, readSources, type Source } from "./source.ts";

const committed = [
  { file: "configs/configuration.toml", render: renderToml },
  { file: "docs/configuration.md", render: renderMarkdown },
] as const;

const TABLE = "shim/config/schema.ts";
const product = /^(?:shim|cli|hypervisor|network|sys)\//;

/** The committed configuration file and its page equal what the key table generates, and each key is read by something. */
export const configurationCheck: Check = {
  name: "configuration",
  async run(root) {
    const problems = committed.flatMap(({ file, render }): Problem[] =>
      readOrEmpty(join(root, file)) === render()
        ? []
        : [{ file, text: "differs from shim/config/schema.ts; run `npm run generate`" }],
    );
    const readers = readSources(root).filter(
      ({ path }) => product.test(path) && path !== TABLE && !isTest(path),
    );
    return { problems: [...problems, ...unreadKeys(readers)] };
  },
};

/** A key that nothing reads changes nothing, whatever the page says about it. Pure. */
export function unreadKeys(readers: readonly Pick<Source, "text">[]): Problem[] {
  return [...schemaKeys.values()]
    .filter((key) => !readers.some(({ text }) => readingOf(key).test(text)))
    .map(({ path }) => ({ file: TABLE, text: `no code of the product reads "${path}"` }));
}

/** `qemu.pcieRootPorts`, `{ pcieRootPorts } = ...qemu`, or a parameter `{ pcieRootPorts }: Configuration["qemu"]`. */
function readingOf({ section, name }: SchemaKey): RegExp {
  const [table, key] = [camelCase(section.split(".").at(-1) ?? ""), camelCase(name)];
  const taken = `\\{[^{}]*\\b${key}\\b[^{}]*\\}\\s*`;
  return new RegExp(
    `\\b${table}\\.${key}\\b|${taken}=[^;]*\\b${table}\\b|${taken}: Configuration\\["${table}"\\]`,
  );
}

/** Writes both files from the key table. */
export function writeConfiguration(root: string): void {
  for (const { file, render } of committed) writeFileSync(join(root, file), render());
}

function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
