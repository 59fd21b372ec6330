import { closeSync, readdirSync, readlinkSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import koffi from "koffi";
import type { Deadline } from "./deadline.ts";
import { errnoNumber } from "./errno.ts";
import { systemError, TapirError } from "./error.ts";
import { identify, isAlive, type ProcessIdentity, readProc } from "./identity.ts";
import { libc } from "./libc.ts";
import { becomesReadable } from "./readable.ts";
import { Code } from "./status.ts";

// Without libc: the short-lived commands of the shim ask for identities, too.
export { identify, isAlive, type ProcessIdentity } from "./identity.ts";

/** Environment variable by which a process that the ledger announced is found before its pid was recorded. */
export const PROCESS_TOKEN = "TAPIR_PROCESS_TOKEN";

/** Processes whose environment carries `token` (their children included, unless they cleared it). */
export function findByToken(token: string): ProcessIdentity[] {
  return allProcesses().filter(({ pid }) => environmentOf(pid)?.includes(tokenVariable(token)));
}

/**
 * The same, of a process that may be just executing something: between two programs its environment is empty
 * (proc_pid_environ(5)), so whoever shows none is asked again.
 */
export async function searchByToken(token: string): Promise<ProcessIdentity[]> {
  let found: ProcessIdentity[] = [];
  let unclear = allProcesses();
  for (let round = 0; round < EXECUTION_ROUNDS && unclear.length > 0; round += 1) {
    if (round > 0) await setTimeout(EXECUTION_MS);
    const seen = unclear.map((identity) => ({ identity, environment: environmentOf(identity.pid) }));
    const own = seen.filter(({ environment }) => environment?.includes(tokenVariable(token)));
    found = [...found, ...own.map(({ identity }) => identity)];
    unclear = seen
      .filter(({ identity, environment }) => environment?.length === 0 && runsProgram(identity.pid))
      .map(({ identity }) => identity);
  }
  return found;
}

const EXECUTION_ROUNDS = 5;
const EXECUTION_MS = 10;

const tokenVariable = (token: string): string => `${PROCESS_TOKEN}=${token}`;

function allProcesses(): ProcessIdentity[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => identify(Number(pid)))
    .filter((identity) => identity !== undefined);
}

/** Undefined when it is gone. */
function environmentOf(pid: number): string[] | undefined {
  return readProc(`/proc/${pid}/environ`)
    ?.split("\0")
    .filter((variable) => variable !== "");
}

/** False for threads of the kernel and for what is gone. */
function runsProgram(pid: number): boolean {
  try {
    return readlinkSync(`/proc/${pid}/exe`) !== "";
  } catch {
    return false;
  }
}

/** Sends SIGTERM to exactly this process, and SIGKILL when it has not ended by `gentle`. Idempotent. */
export async function endProcess(
  identity: ProcessIdentity,
  gentle: Deadline,
  deadline: Deadline,
): Promise<void> {
  signalProcess(identity, SIGTERM);
  await waitForExit(identity, gentle).catch(() => undefined);
  await killProcess(identity, deadline);
}

function signalProcess(identity: ProcessIdentity, signal: number): void {
  const pidfd = openPidfd(identity.pid);
  if (pidfd === -1) return;
  if (isAlive(identity)) libc.syscall(SYS_PIDFD_SEND_SIGNAL, pidfd, signal, 0, 0);
  closeSync(pidfd);
}

/** Sends SIGKILL to exactly this process and waits until it is gone. Idempotent. */
export async function killProcess(identity: ProcessIdentity, deadline: Deadline): Promise<void> {
  // The descriptor pins the process: once open, identity and signal cannot miss each other.
  const pidfd = openPidfd(identity.pid);
  if (pidfd === -1) return;
  try {
    if (!isAlive(identity)) return;
    libc.syscall(SYS_PIDFD_SEND_SIGNAL, pidfd, SIGKILL, 0, 0);
    await deadline.race(endOf(pidfd, deadline));
  } finally {
    closeSync(pidfd);
  }
}

/** Resolves when the process is gone; rejects when the deadline passes. */
export async function waitForExit(identity: ProcessIdentity, deadline: Deadline): Promise<void> {
  const pidfd = openPidfd(identity.pid);
  if (pidfd === -1) return;
  try {
    if (isAlive(identity)) await deadline.race(endOf(pidfd, deadline));
  } finally {
    closeSync(pidfd);
  }
}

// The same numbers on every architecture (asm-generic/unistd.h).
const SYS_PIDFD_SEND_SIGNAL = 424;
const SYS_PIDFD_OPEN = 434;
const SIGKILL = 9;
const SIGTERM = 15;

/** -1 when there is no such process. Errors: EMFILE, for one: who cannot look must not think that nobody is there. */
function openPidfd(pid: number): number {
  const fd = Number(libc.syscall(SYS_PIDFD_OPEN, pid, 0, 0, 0));
  if (fd !== -1) return fd;
  const errno = errnoNumber.nameOf(koffi.errno());
  if (errno === "ESRCH" || errno === "EINVAL") return fd;
  throw systemError(errno, { operation: "open", object: `process ${pid}` });
}

/**
 * A pidfd becomes readable when its process ends (pidfd_open(2)). Rejects when it did not until the deadline: poll's timer may
 * be earlier than the deadline's own.
 */
async function endOf(pidfd: number, deadline: Deadline): Promise<void> {
  if (!(await becomesReadable(pidfd, deadline))) throw stillAlive(deadline);
}

function stillAlive(deadline: Deadline): TapirError {
  return new TapirError({
    code: Code.DEADLINE_EXCEEDED,
    operation: "finish",
    object: deadline.job,
    cause: "the process still lives",
  });
}
