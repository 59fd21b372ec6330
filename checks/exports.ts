import type { Check, Problem } from "./problem.ts";
import { isGenerated, isTest, readSources } from "./source.ts";

const exported = /^export (?:async )?(?:const|function\*?|class) (\w+)/gm;

/** No function, class or constant is exported that no other file imports (a unit test counts as one). */
export const exportsCheck: Check = {
  name: "exports",
  async run(root) {
    const sources = readSources(root).filter(({ path }) => !isGenerated(path));
    const used = new Map<string, Set<string>>();
    for (const { imports } of sources) {
      for (const { kind, target, names } of imports) {
        if (kind !== "file") continue;
        const all = used.get(target) ?? new Set();
        for (const name of names) all.add(name);
        used.set(target, all);
      }
    }
    const problems = sources
      .filter(({ path }) => !isTest(path))
      .flatMap(({ path, text }) =>
        [...text.matchAll(exported)].flatMap(([, name = ""]): Problem[] => {
          const users = used.get(path);
          return users?.has(name) || users?.has("*")
            ? []
            : [{ file: path, text: `exports "${name}", which no other file imports` }];
        }),
      );
    return { problems };
  },
};
