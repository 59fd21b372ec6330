import { statSync } from "node:fs";
import { wrapError } from "../../sys/error.ts";
import type { Ledger } from "../../sys/ledger.ts";
import { parseStdioAddress, type StdioAddress } from "./address.ts";
import { openFifoOutput } from "./fifo-output.ts";
import { type Input, openFifoInput } from "./input.ts";
import { type LoggedProcess, startLogProgram } from "./log-program.ts";
import { type Output, openFileOutput } from "./output.ts";

/** Where containerd wants the streams of a process; "" = nowhere. */
export interface StdioAddresses {
  readonly stdin: string;
  readonly stdout: string;
  readonly stderr: string;
  readonly terminal: boolean;
}

/** The host's side of a process's streams. */
export interface OpenStdio {
  readonly stdin: Input | undefined;
  readonly stdout: Output | undefined;
  /** With a terminal there is none: its output is all one. */
  readonly stderr: Output | undefined;
  /** Closes what is still open. Idempotent. */
  close(): Promise<void>;
}

/** Opens all streams of a process, or none. Waits for no reader or writer. */
export async function openStdio(
  addresses: StdioAddresses,
  of: LoggedProcess,
  ledger: Ledger,
): Promise<OpenStdio> {
  const outAddress = parseStdioAddress(addresses.stdout);
  const errAddress = addresses.terminal ? { kind: "none" as const } : parseStdioAddress(addresses.stderr);
  const inAddress = parseStdioAddress(addresses.stdin);
  const opened: { close(): unknown }[] = [];
  const keep = <T extends { close(): unknown }>(stream: T): T => {
    opened.push(stream);
    return stream;
  };
  const close = async (): Promise<void> => {
    await Promise.all(opened.map(async (stream) => stream.close()));
  };
  try {
    const stdin = "path" in inAddress ? keep(openFifoInput(inAddress.path)) : undefined;
    if (outAddress.kind === "binary") {
      const program = await startLogProgram(outAddress, of, ledger);
      const stdout = keep(program.stdout);
      const stderr = keep(program.stderr);
      return { stdin, stdout, stderr, close };
    }
    const stdout = await openOutput(outAddress);
    if (stdout !== undefined) keep(stdout);
    if (errAddress.kind !== "none" && addresses.stderr === addresses.stdout && outAddress.kind === "file") {
      return { stdin, stdout, stderr: stdout, close };
    }
    const stderr = await openOutput(errAddress);
    if (stderr !== undefined) keep(stderr);
    return { stdin, stdout, stderr, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function openOutput(address: StdioAddress): Promise<Output | undefined> {
  if (address.kind === "none" || address.kind === "binary") return undefined;
  if (address.kind === "file") return openFileOutput(address.path);
  return isFifo(address.path) ? openFifoOutput(address.path) : openFileOutput(address.path);
}

function isFifo(path: string): boolean {
  try {
    return statSync(path).isFIFO();
  } catch (error) {
    throw wrapError(error, { operation: "open", object: path });
  }
}
