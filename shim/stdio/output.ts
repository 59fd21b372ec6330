import { mkdir, open } from "node:fs/promises";
import type { Socket } from "node:net";
import { dirname } from "node:path";
import { wrapError } from "../../sys/error.ts";

/** Where the output of a process goes. Nothing here ever throws at the process: what nobody takes is dropped. */
export interface Output {
  /** Resolves when there is room for more, which may be never; at the latest with `close`. */
  write(bytes: Uint8Array): Promise<void>;
  /** Tells the reader that no more comes. What was not taken by now is dropped. Idempotent. */
  close(): Promise<void>;
}

/** A connected stream, written to with its reader's speed. */
export function streamOutput(stream: Socket): Output {
  const closed = Promise.withResolvers<void>();
  stream.once("close", () => closed.resolve());
  // The reader went away: the writes that come are dropped.
  stream.on("error", () => undefined);
  return {
    write: (bytes) =>
      new Promise((resolve) => {
        if (stream.destroyed) resolve();
        else stream.write(bytes, () => resolve());
      }),
    close() {
      stream.destroy();
      return closed.promise;
    },
  };
}

/** A file that is appended to, made with its directory where it is missing. */
export async function openFileOutput(path: string): Promise<Output> {
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o755 });
    const file = await open(path, "a", 0o644);
    let closing: Promise<void> | undefined;
    return {
      // A full disk is no reason to stop the process.
      write: (bytes) => file.appendFile(bytes).catch(() => undefined),
      close: () => (closing ??= file.close().catch(() => undefined)),
    };
  } catch (error) {
    throw wrapError(error, { operation: "open", object: path });
  }
}
