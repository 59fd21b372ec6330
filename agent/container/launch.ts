import { mkdirSync, readFileSync, rmSync } from "node:fs";
import type { CommandFailure, StdioSetup } from "../../proto/gen/tapir/agent/v1/container.ts";
import { listenForConsole } from "../../sys/console-socket.ts";
import type { Deadline } from "../../sys/deadline.ts";
import type { Exits, ProcessExit } from "../process/exits.ts";
import type { Process } from "../process/process.ts";
import { makePipes, type ProcessIo, terminalIo } from "../process/process-io.ts";
import { commandFailure } from "./command-failure.ts";
import { type CrunRun, crunError, startCrun, temporaryPath } from "./crun.ts";
import type { OciProcess } from "./oci.ts";
import { TEMPORARY } from "./paths.ts";

/** A run of crun that leaves a process behind. */
export interface Launch {
  /** "create" or "exec", for errors. */
  readonly operation: string;
  readonly object: string;
  /** The command and its options; those for the process's pid and terminal come from here. */
  readonly command: readonly string[];
  readonly operand: string;
  readonly process: OciProcess;
  readonly stdio: StdioSetup;
  /** Called once, before anybody who waits for the process is told. */
  readonly onExit: (exit: ProcessExit, pid: number) => void;
}

export type Launched =
  | { readonly kind: "running"; readonly process: Process }
  | { readonly kind: "failed"; readonly failure: CommandFailure };

/** Runs crun and takes over the process it leaves behind. Throws when crun fails for another reason than the command. */
export async function launch(wanted: Launch, exits: Exits, deadline: Deadline): Promise<Launched> {
  const { command, operand, operation, object } = wanted;
  mkdirSync(TEMPORARY, { recursive: true });
  const pidFile = temporaryPath("pid");
  const ends = wanted.process.terminal === true ? terminalEnds(wanted.process) : pipeEnds(wanted.stdio);
  // From here on an exit is kept until it is claimed.
  using expectation = exits.expect();
  const run = startCrun(
    [...command, `--pid-file=${pidFile}`, ...ends.options, operand],
    deadline,
    ends.stdio,
  );
  try {
    const { status, message } = await run.done;
    if (status !== 0) {
      const failure = commandFailure(message);
      if (failure === undefined) throw crunError(operation, object, message);
      ends.abandon();
      run[Symbol.dispose]();
      return { kind: "failed", failure };
    }
    const pid = Number(readFileSync(pidFile, "latin1"));
    const io = ends.take();
    const { promise, resolve } = Promise.withResolvers<ProcessExit>();
    const seen: { exit: ProcessExit | undefined } = { exit: undefined };
    expectation.claim(pid, (raw) => {
      const exit = { ...raw, status: statusOf(raw.status, run) };
      run[Symbol.dispose]();
      seen.exit = exit;
      wanted.onExit(exit, pid);
      resolve(exit);
    });
    const process: Process = {
      pid,
      io,
      get exit() {
        return seen.exit;
      },
      exited: promise,
    };
    return { kind: "running", process };
  } catch (error) {
    ends.abandon();
    run[Symbol.dispose]();
    throw error;
  } finally {
    ends.handedOver();
    rmSync(pidFile, { force: true });
  }
}

/**
 * A program of the wrong format, or whose interpreter is missing, is found out by the process itself, after crun has
 * ended: it says so in the log and exits with 1.
 */
function statusOf(status: number, run: CrunRun): number {
  if (status !== 1) return status;
  return commandFailure(run.lastMessage())?.exitStatus ?? status;
}

interface Ends {
  readonly options: readonly string[];
  readonly stdio: readonly (number | "ignore")[];
  take(): ProcessIo;
  abandon(): void;
  handedOver(): void;
}

function pipeEnds(setup: StdioSetup): Ends {
  const { io, stdio, handedOver } = makePipes(setup);
  return { options: [], stdio, take: () => io, abandon: () => io.close(), handedOver };
}

function terminalEnds({ consoleSize }: OciProcess): Ends {
  const socket = listenForConsole(temporaryPath("tty"));
  return {
    options: [`--console-socket=${socket.path}`],
    stdio: ["ignore", "ignore", "ignore"],
    take() {
      const io = terminalIo(socket.receive());
      if (consoleSize !== undefined) io.resize(consoleSize.height, consoleSize.width);
      return io;
    },
    abandon: () => undefined,
    handedOver: () => socket[Symbol.dispose](),
  };
}
