import { spawn } from "node:child_process";
import { constants } from "node:os";
import type { Deadline } from "./deadline.ts";
import { wrapError } from "./error.ts";

export interface ProgramRun {
  /** Absolute path. */
  readonly command: string;
  /** What it is told it is called; then its arguments. */
  readonly argv: readonly string[];
  /** The whole environment. */
  readonly env: Readonly<Record<string, string>>;
  /** For its standard input. */
  readonly input: string;
}

export interface ProgramEnd {
  /** 128 + n after signal n. */
  readonly status: number;
  /** The end of what it said on standard error. */
  readonly said: string;
}

const SAID_CHARACTERS = 1024;

/**
 * Runs somebody else's program to its end; it and its process group are killed at the deadline, which is the error then. It is in
 * no ledger: nothing of it is Tapir's to undo. Errors: execve(2)'s.
 */
export async function runProgram(
  { command, argv, env, input }: ProgramRun,
  deadline: Deadline,
): Promise<ProgramEnd> {
  const [argv0 = command, ...args] = argv;
  const child = spawn(command, args, {
    ...{ argv0, env, cwd: "/" },
    // A group of its own.
    detached: true,
    stdio: ["pipe", "ignore", "pipe"],
  });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said = (said + text).slice(-SAID_CHARACTERS);
  });
  // One that does not want its input need not read it.
  child.stdin.on("error", () => undefined);
  child.stdin.end(input);
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  child.once("error", reject);
  child.once("exit", (code, signal) =>
    resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])),
  );
  try {
    const status = await deadline.race(promise);
    // What it has left behind may hold its standard error open: what is there by now is what it said.
    await new Promise(setImmediate);
    return { status, said: said.trim() };
  } catch (error) {
    if (child.pid === undefined) throw wrapError(error, { operation: "execute", object: command });
    process.kill(-child.pid, "SIGKILL");
    throw error;
  } finally {
    child.stderr.destroy();
  }
}
