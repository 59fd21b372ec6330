import type { Socket } from "node:net";
import { openBoundedLog } from "./bounded-log.ts";
import { createTail } from "./tail.ts";

/** What the guest's console said. */
export interface GuestConsole {
  /** Its last lines. */
  tail(): string;
  /** Resolves when QEMU let go of it and everything is read. */
  readonly ended: Promise<void>;
  close(): void;
}

/** A boot with every message says 60 KiB. State directories are in memory: a guest must not fill it. */
const LIMITS = { tailBytes: 16 * 1024, fileBytes: 1024 * 1024, bytesPerSecond: 512 * 1024 };

/** Writes the console to `path` and keeps its end at hand. A guest that says too much at once has to wait. */
export function recordConsole(socket: Socket, path: string, limits: typeof LIMITS = LIMITS): GuestConsole {
  const log = openBoundedLog(path, limits.fileBytes);
  const tail = createTail(limits.tailBytes);
  let allowance = limits.bytesPerSecond;
  socket.on("data", (chunk: Buffer) => {
    tail.push(chunk);
    log.write(chunk);
    allowance -= chunk.length;
    if (allowance > 0) return;
    socket.pause();
    setTimeout(() => {
      allowance = limits.bytesPerSecond;
      socket.resume();
    }, 1000).unref();
  });
  socket.on("error", () => undefined);
  const ended = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  void ended.then(log.close);
  return { tail: tail.text, ended, close: () => socket.destroy() };
}
