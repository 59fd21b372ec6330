import { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { StdioSetup } from "../../proto/gen/tapir/agent/v1/container.ts";
import { TapirError } from "../../sys/error.ts";
import { closeAll } from "../../sys/fdpass.ts";
import { makePipe } from "../../sys/pipe.ts";
import { Code } from "../../sys/status.ts";
import { openTerminal, setTerminalSize } from "../../sys/terminal.ts";
import { type Input, pipeInput, terminalInput } from "./input.ts";
import { type Output, readOutput } from "./output.ts";

/** The standard streams of one process, seen from outside. */
export interface ProcessIo {
  readonly stdin: Input | undefined;
  readonly stdout: Output | undefined;
  readonly stderr: Output | undefined;
  resize(rows: number, columns: number): void;
  /** Calls `given` when all that the ended process had written was given. */
  whenGiven(given: () => void): void;
  close(): void;
}

/** Streams whose other ends are still to be handed to a program. */
export interface NewPipes {
  readonly io: ProcessIo;
  /** For the program to be started. */
  readonly stdio: readonly (number | "ignore")[];
  /** The program has its ends, or never will. */
  handedOver(): void;
}

/** The usual 64 KiB make a process and its reader take turns too often under emulation. */
const PIPE_BYTES = 256 << 10;
/** What was written to a terminal comes out at the other end a moment later (the kernel's flush work). */
const TERMINAL_FLUSH_MS = 20;

export function makePipes(setup: StdioSetup): NewPipes {
  const theirs: number[] = [];
  const stdio: (number | "ignore")[] = ["ignore", "ignore", "ignore"];
  const output = (wanted: boolean, place: number): Output | undefined => {
    if (!wanted) return undefined;
    const { read, write } = makePipe(PIPE_BYTES);
    theirs.push(write);
    stdio[place] = write;
    return readOutput((onread) => ({
      fd: read,
      stream: new Socket({ fd: read, readable: true, writable: false, onread }),
    })).output;
  };
  const input = (): Input => {
    const { read, write } = makePipe(PIPE_BYTES);
    theirs.push(read);
    stdio[0] = read;
    return pipeInput(new Socket({ fd: write, readable: false, writable: true }));
  };
  const stdin = setup.stdin ? input() : undefined;
  const stdout = output(setup.stdout, 1);
  const stderr = output(setup.stderr, 2);
  const outputs = [stdout, stderr].filter((one) => one !== undefined);
  const io: ProcessIo = {
    stdin,
    stdout,
    stderr,
    resize() {
      throw new TapirError({
        code: Code.FAILED_PRECONDITION,
        operation: "resize",
        object: "terminal",
        cause: "the process has none",
      });
    },
    whenGiven: (given) => whenAllGiven(outputs, given),
    close() {
      stdin?.close();
      for (const one of outputs) one.close();
    },
  };
  return { io, stdio, handedOver: () => closeAll(theirs.splice(0)) };
}

/** Takes over the controlling end of a process's terminal. */
export function terminalIo(master: number): ProcessIo {
  const { output: stdout, opened } = readOutput((onread) => openTerminal(master, onread));
  const { stream, fd } = opened;
  return {
    stdin: terminalInput(stream),
    stdout,
    stderr: undefined,
    resize: (rows, columns) => {
      if (!stdout.ended) setTerminalSize(fd, rows, columns);
    },
    whenGiven: (given) => {
      void sleep(TERMINAL_FLUSH_MS).then(() => whenAllGiven([stdout], given));
    },
    close: () => stdout.close(),
  };
}

function whenAllGiven(outputs: readonly Output[], given: () => void): void {
  let left = outputs.length;
  if (left === 0) given();
  for (const one of outputs)
    one.whenGiven(() => {
      left--;
      if (left === 0) given();
    });
}
