import { closeSync, constants, existsSync, openSync } from "node:fs";
import { Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { wrapError } from "../../sys/error.ts";
import { type Output, streamOutput } from "./output.ts";

/** No event tells that a fifo is opened; this is looked for only where nobody reads at the end. */
const LOOK_MS = 100;
const LOOKS = 3_000;

/**
 * A fifo, opened for both directions: opening does not wait for a reader, writing does not fail without one. While the
 * reader is away (containerd restarts) the fifo fills up, and then the process waits. Whoever opens it after its end (containerd
 * stood still) still gets what was written, and the end: without us it would wait for a writer, for ever.
 */
export function openFifoOutput(path: string): Output {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  } catch (error) {
    throw wrapError(error, { operation: "open", object: path });
  }
  const socket = new Socket({ fd, readable: false, writable: true });
  const { write, close } = streamOutput(socket);
  let closing: Promise<void> | undefined;
  const closeOnce = async (): Promise<void> => {
    const writer = socket.destroyed ? undefined : openWriter(fd);
    await close();
    if (writer !== undefined) void leaveToReader(writer, path);
  };
  return { write, close: () => (closing ??= closeOnce()) };
}

/** The writing end of a fifo that is open as `fd`; undefined when nobody could read it (ENXIO), or there are no descriptors. */
function openWriter(fd: number): number | undefined {
  try {
    return openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
}

/** Closes `writer` once somebody reads, or nobody can: the fifo was removed. What is in it stays as long as an end is open (fifo(7)). */
async function leaveToReader(writer: number, path: string): Promise<void> {
  for (let look = 0; look < LOOKS && existsSync(path); look += 1) {
    const other = openWriter(writer);
    if (other !== undefined) {
      closeSync(other);
      break;
    }
    await pause(LOOK_MS, undefined, { ref: false });
  }
  closeSync(writer);
}
