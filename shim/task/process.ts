import { setTimeout as pause } from "node:timers/promises";
import type { StdioSetup } from "../../proto/gen/tapir/agent/v1/container.ts";
import { deadlineIn } from "../../sys/deadline.ts";
import { codeOf, TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import type { ExitRecord } from "../bundle-files.ts";
import type { ProcessKey } from "../containers-client.ts";
import { guestExit, UNKNOWN_STATUS } from "../guest-bounds.ts";
import type { Log } from "../log.ts";
import type { PodGuest } from "../sandbox/pod.ts";
import { type ProcessEvent, type ProcessState, processAfter } from "../sandbox/process.ts";
import { type OpenStdio, openStdio, type StdioAddresses } from "../stdio/open.ts";
import { outputSettled } from "../stdio/output-settled.ts";
import { type Pump, startPump } from "../stdio/pump.ts";
import { type ExitSlot, openExitSlot } from "./exits.ts";
import type { TerminalSize } from "./task.ts";

/** One process of a container, from its announcement to its end: state, streams, exit. */
export interface TaskProcess {
  readonly object: string;
  readonly stdio: StdioAddresses;
  readonly state: ProcessState;
  readonly exit: ExitSlot;
  /** What of its streams the guest has to make. */
  readonly setup: StdioSetup;
  /** Opens the host's side of the streams. */
  open(): Promise<void>;
  /** The guest has the process: bytes flow, and its end is watched for. */
  attach(): void;
  /** Runs `run`, which starts it in the guest, and reports it with `tell`. An end on the way is reported after that. */
  start(run: () => Promise<void>, tell: () => void): Promise<void>;
  /** It has ended, says somebody who knows. Only the first one counts. */
  end(status: number): void;
  /** Its VM is gone: it was killed, unless it had ended before, and nothing more comes from it. */
  vmGone(): void;
  /** Sets the terminal's size, now or once there is one. */
  resize(size: TerminalSize): Promise<void>;
  closeStdin(): void;
  /** Waits until its output is where it belongs, as long as that moves; then closes the streams. */
  close(): Promise<void>;
  /** Forgets it; FAILED_PRECONDITION while it runs. */
  forget(): void;
}

export interface ProcessOptions {
  /** For errors: `exec e of container c`. */
  readonly object: string;
  readonly key: ProcessKey;
  readonly stdio: StdioAddresses;
  readonly namespace: string;
  /** Where its exit is kept for whoever comes after this process. */
  readonly bundle: string | undefined;
  readonly pid: number;
  readonly guest: PodGuest;
  readonly log: Log;
  /** Called when the guest says that it has ended, before anybody else hears of it. */
  readonly beforeExit: (oomKilled: boolean) => Promise<void>;
  /** Called once, when it has ended. */
  readonly onExit: (record: ExitRecord) => void;
}

/** 128 + SIGKILL. */
const KILLED = 137;
const RETRY_MS = 250;

export function openProcess(options: ProcessOptions): TaskProcess {
  const { object, key, stdio, guest, log } = options;
  let state: ProcessState = { name: "created" };
  let streams: OpenStdio | undefined;
  let pump: Pump | undefined;
  let size: TerminalSize | undefined;
  let stdinMayEnd = false;
  const exit = openExitSlot(options.bundle);
  const watching = new AbortController();

  const step = (event: ProcessEvent): void => {
    state = processAfter(object, state, event);
  };
  const tellExit = (): void => {
    if (state.name !== "stopped") return;
    const { status, exitedAt } = state.exit;
    const record = { pid: options.pid, status, exitedAtMs: exitedAt.getTime() };
    if (exit.settle(record)) options.onExit(record);
  };
  const end = (status: number): void => {
    watching.abort();
    step({ name: "exited", exit: { status, exitedAt: new Date() } });
    tellExit();
  };
  const watch = async (): Promise<void> => {
    while (!watching.signal.aborted) {
      try {
        const { exitStatus, oomKilled } = await guest.containers.waitProcess({ ...key }, watching.signal);
        await options.beforeExit(oomKilled);
        return end(guestExit(exitStatus));
      } catch (error) {
        if (watching.signal.aborted) return;
        if (!mayStillRun(error)) {
          log.error("the end of a process was missed", { process: object, error });
          return end(UNKNOWN_STATUS);
        }
        await pause(RETRY_MS, undefined, { signal: watching.signal }).catch(() => undefined);
      }
    }
  };
  const applySize = async ({ rows, columns }: TerminalSize): Promise<void> => {
    const deadline = deadlineIn(guest.limits.requestMs, `resize the terminal of ${object}`);
    await guest.containers.resizeTerminal({ ...key, rows, columns }, deadline);
  };

  return {
    object,
    stdio,
    exit,
    get state() {
      return state;
    },
    get setup() {
      return {
        stdin: streams?.stdin !== undefined,
        stdout: streams?.stdout !== undefined,
        stderr: streams?.stderr !== undefined,
      };
    },
    async open() {
      const id = key.execId === "" ? key.containerId : key.execId;
      streams = await openStdio(stdio, { id, namespace: options.namespace }, guest.ledger);
      if (stdinMayEnd) streams.stdin?.allowEnd();
    },
    attach() {
      if (streams !== undefined) pump = startPump(guest.containers, key, streams, log);
      void watch();
      if (size !== undefined) {
        void applySize(size).catch((error: unknown) => log.debug("terminal not resized", { object, error }));
      }
    },
    async start(run, tell) {
      step({ name: "start" });
      try {
        await run();
      } catch (error) {
        step({ name: "failed" });
        tellExit();
        throw error;
      }
      step({ name: "started" });
      tell();
      tellExit();
    },
    end,
    vmGone() {
      if (state.name === "created" && key.execId !== "") return;
      end(KILLED);
      void pump?.close();
    },
    async resize(wanted) {
      size = wanted;
      if (pump === undefined || state.name === "stopped") return;
      await applySize(wanted);
    },
    closeStdin() {
      stdinMayEnd = true;
      streams?.stdin?.allowEnd();
    },
    async close() {
      if (pump !== undefined) {
        await outputSettled(
          pump,
          deadlineIn(guest.limits.requestMs, `see the output of ${object} to its end`),
        );
        await pump.close();
      }
      await streams?.close();
    },
    forget() {
      const before = state.name;
      step({ name: "delete" });
      watching.abort();
      if (before === "created") exit.abandon(neverRan(object));
    },
  };
}

/** The connection broke, or the wait was longer than any timer's; when the VM is gone, somebody will say so. */
function mayStillRun(error: unknown): boolean {
  const code = codeOf(error);
  return code === Code.UNAVAILABLE || code === Code.DEADLINE_EXCEEDED;
}

function neverRan(object: string): TapirError {
  return new TapirError({
    code: Code.NOT_FOUND,
    operation: "wait for",
    object,
    cause: "it was removed before it ran",
  });
}
