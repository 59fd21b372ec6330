import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import type { Socket } from "node:net";
import { wrapError } from "./error.ts";
import { identify, type ProcessIdentity } from "./identity.ts";
import type { Acquired, Ledger } from "./ledger.ts";
import { PROCESS_TOKEN } from "./process.ts";

export interface ProgramRequest {
  /** Absolute path. */
  readonly command: string;
  readonly args: readonly string[];
  /** The whole environment, besides the token by which the ledger finds it. */
  readonly env: Readonly<Record<string, string>>;
  /** How many connected sockets it gets, as descriptors 3, 4, ... */
  readonly pipes: number;
}

export interface Program {
  readonly pid: number;
  /** Our ends. */
  readonly pipes: readonly Socket[];
  /** Resolves, never rejects, when it has ended. */
  readonly exited: Promise<void>;
}

/** Starts a program that the ledger ends: releasing kills it. Its standard streams are /dev/null. Errors: execve(2)'s. */
export function startProgram(
  ledger: Ledger,
  step: string,
  request: ProgramRequest,
): Promise<Acquired<Program>> {
  const token = randomUUID();
  return ledger.acquire(step, { kind: "process", token }, async ({ amend }) => {
    const child = spawn(request.command, request.args, {
      detached: true,
      cwd: "/",
      env: { ...request.env, [PROCESS_TOKEN]: token },
      stdio: ["ignore", "ignore", "ignore", ...Array.from({ length: request.pipes }, () => "pipe" as const)],
    });
    const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    const identity = await spawned(child, request.command);
    if (identity !== undefined) amend({ kind: "process", token, ...identity });
    return { pid: child.pid as number, pipes: child.stdio.slice(3) as Socket[], exited };
  });
}

/** Undefined when it is gone already. */
async function spawned(child: ChildProcess, command: string): Promise<ProcessIdentity | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  child.once("spawn", resolve);
  child.once("error", reject);
  try {
    await promise;
  } catch (error) {
    throw wrapError(error, { operation: "execute", object: command });
  }
  return identify(child.pid as number);
}
