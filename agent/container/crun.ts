import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import type { Deadline } from "../../sys/deadline.ts";
import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import { CRUN_ROOT, TEMPORARY } from "./paths.ts";

const CRUN = "/usr/bin/crun";
/** A message is one line; more than this of it helps nobody. */
const MAX_MESSAGE = 1024;

export interface CrunResult {
  /** Of crun itself; 0: it did what it was told. */
  readonly status: number;
  /** The last thing crun said, empty when all went well. */
  readonly message: string;
}

/** A run of crun whose log outlives it: processes that it leaves behind write there until they run their program. */
export interface CrunRun extends Disposable {
  readonly done: Promise<CrunResult>;
  lastMessage(): string;
}

let runs = 0;

/**
 * Starts crun with `args`. When the deadline passes it is killed; what it had done until then is to be undone.
 * `stdio` goes to the container's process.
 */
export function startCrun(
  args: readonly string[],
  deadline: Deadline,
  stdio: readonly (number | "ignore")[] = ["ignore", "ignore", "ignore"],
): CrunRun {
  mkdirSync(TEMPORARY, { recursive: true });
  const log = temporaryPath("log");
  const options = [
    `--root=${CRUN_ROOT}`,
    "--cgroup-manager=cgroupfs",
    `--log=file:${log}`,
    "--log-format=json",
  ];
  const { promise, resolve, reject } = Promise.withResolvers<CrunResult>();
  const child = spawn(CRUN, [...options, ...args], {
    stdio: [...stdio],
    env: { PATH: "/usr/sbin:/usr/bin" },
    cwd: "/",
    signal: deadline.signal,
    killSignal: "SIGKILL",
  });
  let failure: Error | undefined;
  child.on("error", (error) => {
    failure = error;
    if (child.pid === undefined) reject(error);
  });
  // Not before it is gone: whoever cleans up would race with it.
  child.on("exit", (code) => {
    if (failure !== undefined) reject(deadline.signal.aborted ? deadline.signal.reason : failure);
    else resolve({ status: code ?? 255, message: lastMessage(log) });
  });
  promise.catch(() => undefined);
  return {
    done: promise,
    lastMessage: () => lastMessage(log),
    [Symbol.dispose]: () => rmSync(log, { force: true }),
  };
}

/** Runs crun to its end; throws when it does not succeed. */
export async function runCrun(args: readonly string[], object: string, deadline: Deadline): Promise<void> {
  using run = startCrun(args, deadline);
  const { status, message } = await run.done;
  if (status !== 0) throw crunError(args[0] ?? "run", object, message);
}

export function crunError(operation: string, object: string, message: string): TapirError {
  return new TapirError({ code: codeOfMessage(message), operation, object, cause: message || "crun failed" });
}

/** A name that is used once, for a file or socket that lives as long as a run of crun. */
export function temporaryPath(kind: string): string {
  runs++;
  return `${TEMPORARY}/${runs}.${kind}`;
}

/** crun has one exit status for everything: the words are those of 1.8. */
function codeOfMessage(message: string): Code {
  if (/is not running|not in .* state|is not paused/.test(message)) return Code.FAILED_PRECONDITION;
  return /Invalid argument|invalid|unknown|parse/i.test(message) ? Code.INVALID_ARGUMENT : Code.INTERNAL;
}

function lastMessage(log: string): string {
  const lines = readFileSync(log, "utf8").split("\n").filter(Boolean);
  // Warnings come before the error, and an error that hides another one after it.
  const messages = lines.map(messageOf);
  const errors = messages.filter(({ level }) => level === "error");
  return ((errors[0] ?? messages.at(-1))?.msg ?? "").slice(0, MAX_MESSAGE);
}

function messageOf(line: string): { level: string; msg: string } {
  try {
    const { level = "", msg = "" } = JSON.parse(line) as { level?: string; msg?: string };
    return { level, msg };
  } catch {
    return { level: "error", msg: line };
  }
}
