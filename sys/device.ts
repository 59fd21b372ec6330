import { closeSync, constants, openSync } from "node:fs";
import koffi from "koffi";
import { errnoNumber } from "./errno.ts";
import { systemError, wrapError } from "./error.ts";
import { libc } from "./libc.ts";
import { watchReadiness } from "./readiness.ts";

/** A character device (or FIFO) opened for reading and writing without ever blocking. */
export interface Device extends Disposable {
  /** Bytes put into `buffer`; 0: end, nobody is at the other side; -1: nothing to read now. */
  read(buffer: Buffer): number;
  /** Bytes taken; -1: no room now. */
  write(bytes: Buffer): number;
  /** Resolves at the next change (see Readiness); false once the device was closed. */
  changed(): Promise<boolean>;
  /** Whether room to write counts as a change. */
  watchRoom(wanted: boolean): void;
}

/** Opens `path`; libuv's own streams take sockets, pipes and terminals only. */
export function openDevice(path: string): Device {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch (error) {
    throw wrapError(error, { operation: "open", object: path });
  }
  const readiness = watchReadiness(fd, path);
  return {
    read: (buffer) => transferred(libc.read(fd, buffer, buffer.length), "read", path),
    write: (bytes) => transferred(libc.write(fd, bytes, bytes.length), "write to", path),
    changed: () => readiness.next(),
    watchRoom: (wanted) => readiness.watchRoom(wanted),
    [Symbol.dispose]: () => {
      readiness.close();
      closeSync(fd);
    },
  };
}

function transferred(count: number, operation: string, object: string): number {
  if (count !== -1) return count;
  const errno = errnoNumber.nameOf(koffi.errno());
  if (errno === "EAGAIN" || errno === "EINTR") return -1;
  throw systemError(errno, { operation, object });
}
