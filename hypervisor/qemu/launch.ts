import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import type { Socket } from "node:net";
import { joinCgroups } from "../../sys/cgroup.ts";
import { deadlineIn } from "../../sys/deadline.ts";
import { TapirError, wrapError } from "../../sys/error.ts";
import { closeAll, socketOf, socketPair } from "../../sys/fdpass.ts";
import { keepDescriptors } from "../../sys/inherited.ts";
import { inPrivateRoot, type PrivateRoot } from "../../sys/private-root.ts";
import { identify, PROCESS_TOKEN, type ProcessIdentity, waitForExit } from "../../sys/process.ts";
import { Code } from "../../sys/status.ts";
import { settledWithin } from "./settled-within.ts";
import { createTail } from "./tail.ts";

/** A process that runs a VMM, or serves one. */
export interface VmmProcess {
  readonly pid: number;
  /** By which the ledger finds it. */
  readonly token: string;
  /** Undefined when it was gone before it could be looked at. */
  readonly identity: ProcessIdentity | undefined;
  /** Resolves, never rejects, once it is gone, reaped, and what it said on stderr is complete. */
  readonly exited: Promise<ProcessExit>;
  /** What it says on stderr comes in here. */
  readonly stderr: Stderr;
}

export interface Stderr {
  readonly fd: number;
  tail(): string;
  /** Resolves when nobody writes to it any more, or we closed it. */
  readonly ended: Promise<void>;
  close(): void;
}

/** What a process sees and may do, and how it is bound to this one. */
export interface Surroundings {
  /** Uid and gid; not set: this process's. */
  readonly user?: number;
  /** Supplementary ones; not set: none. */
  readonly groups?: readonly number[];
  /** No other capabilities; not set: this process's. */
  readonly capabilities?: readonly string[];
  /** Soft and hard resource limits, by their names in prlimit(1). */
  readonly limits?: Readonly<Record<string, number>>;
  /** Not set: it sees what this process sees. */
  readonly root?: PrivateRoot;
  /** Does not get SIGKILL when this process dies: another one is to have it. */
  readonly outlives?: boolean | undefined;
  /** Folders of the cgroups that it joins. */
  readonly cgroups?: readonly string[] | undefined;
}

export interface ProcessExit {
  readonly code: number | undefined;
  readonly signal: string | undefined;
  readonly stderrTail: string;
}

const STDERR_TAIL_BYTES = 8 * 1024;
/** After the exit, how long the end of stderr may take; somebody else could hold the pipe. */
const STDERR_END_MS = 200;
/** Between the end of a process's stderr and its own. */
const END_MS = 10_000;
/** Of util-linux: each sets something and executes the next in its own place, so that no code of ours runs after fork. */
const PRLIMIT = "/usr/bin/prlimit";
const SETPRIV = "/usr/bin/setpriv";

/**
 * Runs `binary` in a session of its own, in the `root`, with nothing in its environment but `token`, `inherit` as
 * descriptors 3, 4, ... and no others, no way to gain privileges, no other than the `capabilities`, in the `cgroups`, and, unless it is to
 * outlive this process, SIGKILL when this process dies. Resolves once it was executed. Errors: FAILED_PRECONDITION without
 * util-linux; what execve(2) says.
 */
export async function launch(
  binary: string,
  argv: readonly string[],
  inherit: readonly number[],
  token: string,
  how: Surroundings = {},
): Promise<VmmProcess> {
  checkPrograms();
  keepDescriptors();
  const [file, ...rest] = [...confined(how), binary, ...argv] as [string, ...string[]];
  const pipe = socketPair();
  const stderr = readStderr(pipe.ours);
  const execute = (): ChildProcess =>
    spawn(file, rest, {
      // Away from signals to the shim's group; and stdout is not for QEMU: containerd may read ours.
      detached: true,
      stdio: ["ignore", "ignore", pipe.theirs, ...inherit],
      env: { [PROCESS_TOKEN]: token },
      cwd: "/",
    });
  try {
    const child = how.root === undefined ? execute() : inPrivateRoot(how.root, execute);
    const exited = watchExit(child, stderr);
    // Before it has touched its memory, which is counted where it was then.
    if (child.pid !== undefined) joinCgroups(child.pid, how.cgroups ?? []);
    await spawned(child);
    const pid = child.pid as number;
    return { pid, token, identity: identify(pid), exited, stderr };
  } catch (error) {
    stderr.close();
    throw wrapError(error, { operation: "execute", object: binary });
  } finally {
    closeAll([pipe.theirs]);
  }
}

/** A process that another one launched to outlive it: nobody tells how it ended, but the end of its stderr tells when. */
export function adopt(identity: ProcessIdentity, token: string, stderrFd: number): VmmProcess {
  const stderr = readStderr(stderrFd);
  const exited = stderr.ended.then(async (): Promise<ProcessExit> => {
    while (!(await endsWithin(identity, END_MS)));
    return { code: undefined, signal: undefined, stderrTail: stderr.tail() };
  });
  return { pid: identity.pid, token, identity, exited, stderr };
}

function endsWithin(identity: ProcessIdentity, milliseconds: number): Promise<boolean> {
  return waitForExit(identity, deadlineIn(milliseconds, "see a process end")).then(
    () => true,
    () => false,
  );
}

function spawned(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", reject);
  });
}

/** The signal comes last of all: a change of the user clears it. */
function confined({
  limits = {},
  user,
  groups = [],
  capabilities,
  outlives = false,
}: Surroundings): string[] {
  const kept = capabilities?.map((name) => `,+${name}`).join("");
  const limited = Object.entries(limits).map(([name, value]) => `--${name}=${value}`);
  return [
    ...(limited.length === 0 ? [] : [PRLIMIT, ...limited]),
    SETPRIV,
    ...(user === undefined ? [] : [`--reuid=${user}`, `--regid=${user}`]),
    groups.length === 0 ? "--clear-groups" : `--groups=${groups.join(",")}`,
    ...(kept === undefined ? [] : [`--bounding-set=-all${kept}`, "--inh-caps=-all"]),
    "--no-new-privs",
    ...(outlives ? [] : ["--pdeathsig=KILL"]),
    "--",
  ];
}

function checkPrograms(): void {
  const missing = [PRLIMIT, SETPRIV].find((path) => !existsSync(path));
  if (missing === undefined) return;
  throw new TapirError({
    code: Code.FAILED_PRECONDITION,
    operation: "confine",
    object: "a process",
    cause: `${missing} is not there`,
    hint: "install util-linux",
  });
}

function readStderr(fd: number): Stderr {
  const tail = createTail(STDERR_TAIL_BYTES);
  const socket: Socket = socketOf(fd);
  socket.on("data", (chunk: Buffer) => tail.push(chunk));
  socket.on("error", () => undefined);
  const ended = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  return { fd, tail: tail.text, ended, close: () => socket.destroy() };
}

async function watchExit(child: ChildProcess, stderr: Stderr): Promise<ProcessExit> {
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve) => {
    child.once("exit", (...ending) => resolve(ending));
  });
  await settledWithin(stderr.ended, STDERR_END_MS);
  stderr.close();
  return { code: code ?? undefined, signal: signal ?? undefined, stderrTail: stderr.tail() };
}
