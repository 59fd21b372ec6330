import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Check, Problem } from "./problem.ts";

const link = /\]\((?!https?:|mailto:|#)([^)\s#]+)(?:#[^)\s]*)?\)/g;

/** Every link of a page to a file of the project leads somewhere. */
export const linksCheck: Check = {
  name: "links",
  async run(root) {
    const pages = globSync("**/*.md", {
      cwd: root,
      exclude: (name) => /(^|\/)(node_modules|build|\.git)$/.test(name),
    });
    const problems = pages.sort().flatMap((page) =>
      [...readFileSync(join(root, page), "utf8").matchAll(link)].flatMap(([, target = ""]): Problem[] => {
        const there = existsSync(join(root, dirname(page), decodeURI(target)));
        return there ? [] : [{ file: page, text: `links to ${target}, which does not exist` }];
      }),
    );
    return { problems, note: `${pages.length} pages` };
  },
};
