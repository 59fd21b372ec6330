import type { Check, Problem } from "./problem.ts";
import { isGenerated, isTest, readSources } from "./source.ts";

const stopLines = 300;

/** No file that people read is longer than 300 lines (generated code and tests apart). */
export const fileSizeCheck: Check = {
  name: "file size",
  async run(root) {
    const sizes = readSources(root)
      .filter(({ path }) => !isGenerated(path) && !isTest(path))
      .map(({ path, text }) => ({ path, lines: text.split("\n").length - 1 }))
      .sort((left, right) => left.lines - right.lines);
    const problems = sizes
      .filter(({ lines }) => lines > stopLines)
      .map(({ path, lines }): Problem => {
        return { file: path, text: `${lines} lines, more than ${stopLines}; split it by responsibility` };
      });
    const at = (share: number): number => sizes[Math.floor((sizes.length - 1) * share)]?.lines ?? 0;
    const total = sizes.reduce((sum, { lines }) => sum + lines, 0);
    const spread = `median ${at(0.5)}, 90 % up to ${at(0.9)}, longest ${at(1)}`;
    return { problems, note: `${sizes.length} files, ${total} lines, ${spread}` };
  },
};
