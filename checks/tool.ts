import { spawn } from "node:child_process";
import { join } from "node:path";
import type { Check } from "./problem.ts";

/** A check that an installed command does: exit code 0 or its whole output as the one problem. */
function toolCheck(name: string, command: string, args: readonly string[]): Check {
  return {
    name,
    async run(root) {
      const { code, output } = await runTool(root, command, args);
      return { problems: code === 0 ? [] : [{ file: command, text: output }] };
    },
  };
}

function runTool(
  root: string,
  command: string,
  args: readonly string[],
): Promise<{ code: number | null; output: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ code: number | null; output: string }>();
  const child = spawn(join(root, "node_modules/.bin", command), args, {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  const collect = (text: string): void => {
    output += text;
  };
  child.stdout.setEncoding("utf8").on("data", collect);
  child.stderr.setEncoding("utf8").on("data", collect);
  child.on("error", reject);
  child.on("close", (code) => resolve({ code, output: output.trim() }));
  return promise;
}

export const formatAndLintCheck = toolCheck("format and lint", "biome", [
  "check",
  "--colors=off",
  "--max-diagnostics=50",
  "--error-on-warnings",
]);
export const typesCheck = toolCheck("types", "tsc", ["--project", "."]);
