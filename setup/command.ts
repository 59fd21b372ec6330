import { spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Deadline } from "../sys/deadline.ts";
import { TapirError, wrapError } from "../sys/error.ts";
import { Code } from "../sys/status.ts";

/** The project's root. */
export const PROJECT = dirname(import.meta.dirname);
const LOGS = join(PROJECT, "build/logs");

export interface CommandRequest {
  readonly command: string;
  readonly args: readonly string[];
  /** Name of the log below `build/logs`. */
  readonly log: string;
  readonly deadline: Deadline;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** The way out that the error names. */
  readonly hint?: string;
}

/** Runs a command of the set-up; its output goes to a log whose end is part of the error. */
export async function runLogged(request: CommandRequest): Promise<void> {
  const { command, args, deadline, hint } = request;
  mkdirSync(LOGS, { recursive: true });
  const path = join(LOGS, `${request.log}.log`);
  const log = openSync(path, "w");
  const ended = Promise.withResolvers<string | undefined>();
  const child = spawn(command, [...args], {
    cwd: request.cwd ?? PROJECT,
    env: { ...process.env, ...request.env },
    stdio: ["ignore", log, log],
  });
  closeSync(log);
  child.on("error", (error) => ended.reject(wrapError(error, { operation: "run", object: command })));
  child.on("exit", (code, signal) =>
    ended.resolve(code === 0 ? undefined : `it ended with ${code ?? signal}`),
  );
  let cause: string | undefined;
  try {
    cause = await deadline.race(ended.promise);
  } catch (error) {
    child.kill("SIGKILL");
    throw error;
  }
  if (cause === undefined) return;
  throw new TapirError({
    code: Code.UNKNOWN,
    operation: "run",
    object: [command, ...args].join(" "),
    cause: `${cause}, the end of ${path}:\n${tail(path)}`,
    ...(hint === undefined ? {} : { hint }),
  });
}

const TAIL_LINES = 15;

function tail(path: string): string {
  const lines = readFileSync(path, "utf8").trimEnd().split("\n");
  return lines
    .slice(-TAIL_LINES)
    .map((line) => `    ${line}`)
    .join("\n");
}
