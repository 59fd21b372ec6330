import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import type { Readable } from "node:stream";
import { joinCgroups } from "../../sys/cgroup.ts";
import { wrapError } from "../../sys/error.ts";
import { identify, PROCESS_TOKEN, type ProcessIdentity } from "../../sys/process.ts";
import { settledWithin } from "./settled-within.ts";
import { createTail } from "./tail.ts";

/** A child that runs a VMM, or serves one. */
export interface VmmProcess {
  readonly pid: number;
  /** Undefined when it was gone before it could be looked at. */
  readonly identity: ProcessIdentity | undefined;
  /** Resolves, never rejects, once it is gone, reaped, and what it said on stderr is complete. */
  readonly exited: Promise<ProcessExit>;
}

export interface ProcessExit {
  readonly code: number | undefined;
  readonly signal: string | undefined;
  readonly stderrTail: string;
}

const STDERR_TAIL_BYTES = 8 * 1024;
/** After the exit, how long the end of stderr may take; somebody else could hold the pipe. */
const STDERR_END_MS = 200;
const SETPRIV_PATHS = ["/usr/bin/setpriv", "/bin/setpriv"];

export interface Surroundings {
  readonly capabilities?: readonly string[];
  readonly cgroups?: readonly string[] | undefined;
}

/**
 * Runs `binary` in a session of its own, with nothing in its environment but `token`, `inherit` as descriptors 3, 4, ...,
 * no way to gain privileges, no other than the `capabilities` (not set: this process's), in the `cgroups`, and SIGKILL
 * when this process dies. Resolves once it was executed. Errors: what execve(2) says.
 */
export async function launch(
  binary: string,
  argv: readonly string[],
  inherit: readonly number[],
  token: string,
  how: Surroundings = {},
): Promise<VmmProcess> {
  const [file, ...rest] = [...confinement(how.capabilities), binary, ...argv] as [string, ...string[]];
  const child = spawn(file, rest, {
    // Away from signals to the shim's group; and stdout is not for QEMU: containerd may read ours.
    detached: true,
    stdio: ["ignore", "ignore", "pipe", ...inherit],
    env: { [PROCESS_TOKEN]: token },
    cwd: "/",
  });
  const exited = watchExit(child);
  // Before it has touched its memory, which is counted where it was then.
  if (child.pid !== undefined) joinCgroups(child.pid, how.cgroups ?? []);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  child.once("spawn", resolve);
  child.once("error", reject);
  try {
    await promise;
  } catch (error) {
    throw wrapError(error, { operation: "execute", object: binary });
  }
  const pid = child.pid as number;
  return { pid, identity: identify(pid), exited };
}

/** setpriv(1) of util-linux sets all and executes QEMU in its own place. Without it the ledger alone ends QEMU. */
function confinement(capabilities: readonly string[] | undefined): string[] {
  const setpriv = SETPRIV_PATHS.find((path) => existsSync(path));
  if (setpriv === undefined) return [];
  const kept = capabilities?.map((name) => `,+${name}`).join("");
  const bounding = kept === undefined ? [] : ["--bounding-set", `-all${kept}`];
  return [setpriv, "--pdeathsig", "KILL", "--no-new-privs", ...bounding, "--"];
}

async function watchExit(child: ChildProcess): Promise<ProcessExit> {
  const tail = createTail(STDERR_TAIL_BYTES);
  // The fixed stdio above makes it a pipe.
  const stderr = child.stdio[2] as Readable;
  stderr.on("data", (chunk: Buffer) => tail.push(chunk));
  const closed = new Promise<void>((resolve) => stderr.once("close", resolve));
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve) => {
    child.once("exit", (...ending) => resolve(ending));
  });
  await settledWithin(closed, STDERR_END_MS);
  stderr.destroy();
  return { code: code ?? undefined, signal: signal ?? undefined, stderrTail: tail.text() };
}
