import type { Socket } from "node:net";
import { deadlineIn } from "../../sys/deadline.ts";
import { TapirError, wrapError } from "../../sys/error.ts";
import { isEnding } from "../../sys/identity.ts";
import type { Ledger } from "../../sys/ledger.ts";
import { startProgram } from "../../sys/program.ts";
import { Code } from "../../sys/status.ts";
import type { StdioAddress } from "./address.ts";
import { type Output, streamOutput } from "./output.ts";

/** containerd's shims give it the same time, to get ready and to end. */
const READY_MS = 10_000;
const END_MS = 12_000;

export interface LogProgram {
  readonly stdout: Output;
  readonly stderr: Output;
}

export interface LoggedProcess {
  /** The container's id, or the exec's. */
  readonly id: string;
  readonly namespace: string;
}

/**
 * Starts a logging program: output comes to it on descriptors 3 and 4; it closes 5, or writes a byte to it, when it is
 * ready. It ends after both outputs have ended. Throws when it cannot be started or is not ready in time.
 */
export async function startLogProgram(
  address: Extract<StdioAddress, { kind: "binary" }>,
  of: LoggedProcess,
  ledger: Ledger,
  readyMs = READY_MS,
): Promise<LogProgram> {
  const { value: program, release } = await startProgram(ledger, "stdio.logger", {
    command: address.path,
    args: address.args,
    env: { CONTAINER_ID: of.id, CONTAINER_NAMESPACE: of.namespace },
    pipes: 3,
  });
  const [stdout, stderr, ready] = program.pipes as [Socket, Socket, Socket];
  try {
    await deadlineIn(readyMs, `start ${address.path}`).race(readiness(address.path, ready, program.pid));
  } catch (error) {
    await release();
    throw wrapError(error, { operation: "log to", object: address.path });
  } finally {
    ready.destroy();
  }
  const outputs = [streamOutput(stdout), streamOutput(stderr)] as const;
  const end = async (): Promise<void> => {
    // Undone by the ledger when it does not end by itself.
    await deadlineIn(END_MS, `end ${address.path}`)
      .race(program.exited)
      .catch(() => undefined);
    await release();
  };
  let open = outputs.length;
  const [out, err] = outputs.map((output): Output => {
    let closing: Promise<void> | undefined;
    return {
      write: output.write,
      close: () =>
        (closing ??= output.close().then(() => {
          if (--open === 0) void end().catch(() => undefined);
        })),
    };
  }) as [Output, Output];
  return { stdout: out, stderr: err };
}

/** Resolves when the program is ready; throws when it has ended instead. */
async function readiness(path: string, ready: Socket, pid: number): Promise<void> {
  const said = await new Promise<boolean>((resolve) => {
    ready.once("data", () => resolve(true));
    for (const end of ["end", "error"]) ready.once(end, () => resolve(false));
  });
  // Its end closes the descriptor, too.
  if (said || !isEnding(pid)) return;
  throw new TapirError({
    code: Code.FAILED_PRECONDITION,
    operation: "start",
    object: path,
    cause: "it ended before it was ready",
  });
}
