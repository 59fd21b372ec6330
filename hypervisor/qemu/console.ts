import { appendFileSync, renameSync, writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { createTail } from "./tail.ts";

/** What the guest's console said. */
export interface GuestConsole {
  /** Its last lines. */
  tail(): string;
  /** Resolves when QEMU let go of it and everything is read. */
  readonly ended: Promise<void>;
  close(): void;
}

const TAIL_BYTES = 16 * 1024;
const FILE_BYTES = 1024 * 1024;
/** A boot with every message says 60 KiB; a guest that says more than this per second has to wait. */
const BYTES_PER_SECOND = 512 * 1024;

/**
 * Writes the console to `path`, never more than two files of 1 MiB (`path` and `path.1`): a guest that writes for ever must not
 * fill the host's memory, which is where state directories are.
 */
export function recordConsole(socket: Socket, path: string): GuestConsole {
  const tail = createTail(TAIL_BYTES);
  let written = 0;
  let allowance = BYTES_PER_SECOND;
  writeFileSync(path, "", { mode: 0o600 });
  socket.on("data", (chunk: Buffer) => {
    tail.push(chunk);
    if (written + chunk.length > FILE_BYTES) {
      renameSync(path, `${path}.1`);
      written = 0;
    }
    appendFileSync(path, chunk, { mode: 0o600 });
    written += chunk.length;
    allowance -= chunk.length;
    if (allowance > 0) return;
    socket.pause();
    setTimeout(() => {
      allowance = BYTES_PER_SECOND;
      socket.resume();
    }, 1000).unref();
  });
  socket.on("error", () => undefined);
  const ended = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  return { tail: tail.text, ended, close: () => socket.destroy() };
}
