import { closeSync, constants, fstatSync, openSync } from "node:fs";
import { Socket } from "node:net";
import { TapirError, wrapError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";

/** Where the standard input of a process comes from. */
export interface Input {
  /** What comes, until the end: nobody can write there any more. To be called once. */
  chunks(): AsyncIterable<Buffer>;
  /** Lets the input end once everybody who writes has closed (CloseIO). Until then a client may go and come again. */
  allowEnd(): void;
  /** Reads no more: who still writes hears of it. Idempotent. */
  close(): void;
}

/**
 * A fifo. Opening waits for nobody. Our own end for writing keeps it from ending whenever a client closes: containerd may
 * be restarted, or one client of many leave.
 */
export function openFifoInput(path: string): Input {
  let reading: number;
  let held: number | undefined;
  try {
    reading = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      if (!fstatSync(reading).isFIFO()) throw noFifo();
      held = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
    } catch (error) {
      closeSync(reading);
      throw error;
    }
  } catch (error) {
    throw wrapError(error, { operation: "open", object: path });
  }
  const socket = new Socket({ fd: reading, readable: true, writable: false });
  // Said to whoever iterates.
  socket.on("error", () => undefined);
  const allowEnd = (): void => {
    if (held !== undefined) closeSync(held);
    held = undefined;
  };
  return {
    chunks: () => untilClosed(socket),
    allowEnd,
    close() {
      allowEnd();
      socket.destroy();
    },
  };
}

function noFifo(): TapirError {
  return new TapirError({
    code: Code.INVALID_ARGUMENT,
    operation: "use",
    object: "it as standard input",
    cause: "it is no fifo",
  });
}

/** A stream that is closed while it is read has simply ended. */
async function* untilClosed(socket: Socket): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of socket) yield chunk as Buffer;
  } catch {
    // Closed by us, or unreadable: nothing more comes either way.
  }
}
