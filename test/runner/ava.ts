import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type AvaCount, type AvaLine, countAva, readAvaLine } from "./ava-output.ts";
import { type Failure, readFailures } from "./failures.ts";

export interface AvaRun {
  readonly root: string;
  readonly files: readonly string[];
  readonly options: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Called with every line as it comes. */
  readonly onLine?: (line: AvaLine) => void;
}

export interface AvaResult extends AvaCount {
  /** Everything but the lines of tests that passed. */
  readonly output: string;
  readonly failures: readonly Failure[];
  readonly slow: readonly { readonly title: string; readonly durationMs: number }[];
}

/** Runs ava on the files given and counts. Never rejects for a failing test or a crashed ava. */
export async function runAva({ root, files, options, env, onLine }: AvaRun): Promise<AvaResult> {
  const cli = join(root, "node_modules/ava/entrypoints/cli.js");
  const child = spawn(process.execPath, [cli, ...options, ...files], {
    cwd: root,
    env: { ...process.env, ...env, NO_COLOR: "1", FORCE_COLOR: "0" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const lines: AvaLine[] = [];
  const output: string[] = [];
  const read = (text: string): void => {
    const line = readAvaLine(text);
    lines.push(line);
    output.push(text);
    onLine?.(line);
  };
  createInterface({ input: child.stdout }).on("line", read);
  createInterface({ input: child.stderr }).on("line", read);
  const exitCode = await new Promise<number | null>((resolve) => {
    child.on("error", (error) => {
      output.push(String(error));
      resolve(null);
    });
    child.on("close", resolve);
  });
  if (exitCode === null) output.push("ava was ended by a signal or could not be started");
  const count = countAva(lines, exitCode);
  const notPassed = output.filter((text) => readAvaLine(text).kind !== "passed");
  const failures = readFailures(output, files);
  const unnamed = { title: `ava ended with ${exitCode}`, file: undefined, text: notPassed };
  return {
    ...count,
    output: notPassed.join("\n").trim(),
    failures: count.failed > 0 && failures.length === 0 ? [unnamed] : failures,
    slow: lines.filter((line) => line.kind === "passed"),
  };
}
