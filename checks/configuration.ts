import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { renderMarkdown } from "../shim/config/render-markdown.ts";
import { renderToml } from "../shim/config/render-toml.ts";
import type { Check, Problem } from "./problem.ts";

const committed = [
  { file: "configs/configuration.toml", render: renderToml },
  { file: "docs/configuration.md", render: renderMarkdown },
] as const;

/** The committed configuration file and its page equal what the key table generates. */
export const configurationCheck: Check = {
  name: "configuration",
  async run(root) {
    const problems = committed.flatMap(({ file, render }): Problem[] =>
      readOrEmpty(join(root, file)) === render()
        ? []
        : [{ file, text: "differs from shim/config/schema.ts; run `npm run generate`" }],
    );
    return { problems };
  },
};

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
