import { spawn } from "node:child_process";
import type { Deadline } from "../../sys/deadline.ts";
import { TapirError, wrapError } from "../../sys/error.ts";
import { inNetns } from "../../sys/netns.ts";
import { Code } from "../../sys/status.ts";

export interface RunRequest {
  readonly command: string;
  readonly args: readonly string[];
  readonly deadline: Deadline;
  /** The child starts inside this network namespace; mounts and cgroups stay the machine's. */
  readonly netns?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly input?: string;
}

export interface RunResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command to its end. Any exit code is a result; not starting or outliving the deadline is an error. */
export async function run(request: RunRequest): Promise<RunResult> {
  const { command, args, deadline, netns, env, input } = request;
  // A child starts in the namespace of the thread that spawns it.
  const start = () => spawn(command, [...args], { env: env ?? process.env, stdio: ["pipe", "pipe", "pipe"] });
  const child = netns === undefined ? start() : inNetns(netns, start);
  const ended = Promise.withResolvers<number>();
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => out.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => err.push(chunk));
  child.on("error", (error) => ended.reject(wrapError(error, { operation: "run", object: command })));
  child.on("close", (code) => ended.resolve(code ?? -1));
  child.stdin.on("error", () => undefined);
  child.stdin.end(input);
  const text = (chunks: Buffer[]) => Buffer.concat(chunks).toString();
  try {
    const exitCode = await deadline.race(ended.promise);
    return { exitCode, stdout: text(out), stderr: text(err) };
  } catch (error) {
    child.kill("SIGKILL");
    throw wrapError(error, {
      operation: "run",
      object: [command, ...args].join(" "),
      ...(err.length > 0 ? { hint: `stderr so far: ${text(err).slice(-2000)}` } : {}),
    });
  }
}

/** As `run`, but an exit code other than 0 is an error that carries stderr. Returns stdout. */
export async function runOk(request: RunRequest): Promise<string> {
  const { exitCode, stdout, stderr } = await run(request);
  if (exitCode === 0) return stdout;
  throw new TapirError({
    code: Code.UNKNOWN,
    operation: "run",
    object: [request.command, ...request.args].join(" "),
    cause: `exit code ${exitCode}: ${(stderr === "" ? stdout : stderr).trim().slice(-2000)}`,
  });
}
