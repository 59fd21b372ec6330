import type { Socket } from "node:net";
import type { Deadline } from "../../../sys/deadline.ts";
import { TapirError } from "../../../sys/error.ts";
import { Code } from "../../../sys/status.ts";
import { splitLine } from "./message.ts";

/** Lines that come in on a connection, one after the other. */
export interface LineReader {
  /** Errors: the peer hung up (UNAVAILABLE), a line too long, the deadline. */
  next(deadline: Deadline): Promise<string>;
}

export function readLines(socket: Socket): LineReader {
  let bytes: Buffer = Buffer.alloc(0);
  let changed = Promise.withResolvers<void>();
  let ended = false;
  const change = (): void => {
    changed.resolve();
    changed = Promise.withResolvers();
  };
  socket.on("data", (chunk: Buffer) => {
    bytes = Buffer.concat([bytes, chunk]);
    // More than what a line may have needs no more memory to be refused.
    if (bytes.length > MAX_WAITING_BYTES) socket.pause();
    change();
  });
  socket.on("error", () => undefined);
  socket.on("close", () => {
    ended = true;
    change();
  });
  return {
    async next(deadline) {
      for (;;) {
        const split = splitLine(bytes);
        if (split !== undefined) {
          bytes = split.rest;
          return split.line;
        }
        if (ended) throw hungUp();
        await deadline.race(changed.promise);
      }
    },
  };
}

const MAX_WAITING_BYTES = 64 * 1024;

export function hungUp(): TapirError {
  return new TapirError({
    code: Code.UNAVAILABLE,
    operation: "go on with",
    object: "the hand-over of a VM",
    cause: "the other side hung up",
  });
}
