import { type OnReadOpts, Socket } from "node:net";
import { socketPair } from "./fdpass.ts";
import { check, libc } from "./libc.ts";

/** ioctl_tty(2), asm-generic/ioctls.h */
const TIOCSWINSZ = 0x5414;
const FIONREAD = 0x541b;
const O_CLOEXEC = 0o2000000;
const F_GETFL = 3;
const F_SETFL = 4;
const O_NONBLOCK = 0o4000;

/** Sets the size of the terminal behind `fd`; its foreground processes get SIGWINCH. */
export function setTerminalSize(fd: number, rows: number, columns: number): void {
  const size = Buffer.alloc(8);
  size.writeUInt16LE(rows, 0);
  size.writeUInt16LE(columns, 2);
  check(libc.ioctl(fd, TIOCSWINSZ, size), "set", "the size of a terminal");
}

/** Bytes that can be read from a pipe or terminal without waiting. */
export function bytesWaiting(fd: number): number {
  const count = Buffer.alloc(4);
  check(libc.ioctl(fd, FIONREAD, count), "look into", `descriptor ${fd}`);
  return count.readInt32LE(0);
}

/** The controlling end of a pseudo-terminal. */
export interface Terminal {
  /** Owns `fd`; reading ends with the error EIO when nobody holds the terminal any more. */
  readonly stream: Socket;
  readonly fd: number;
}

/**
 * Takes over the controlling end of a pseudo-terminal. Node has no stream for it: tty.ReadStream writes blocking, and net.Socket looks at the
 * descriptor's kind. So a socket changes its descriptor before the event loop has seen the old one. What is read goes to `onread`, past
 * the stream: an error drops what a stream holds, and a terminal's end is one.
 */
export function openTerminal(master: number, onread: OnReadOpts): Terminal {
  const { ours, theirs } = socketPair();
  const stream = new Socket({ fd: ours, readable: true, writable: true, onread });
  libc.close(theirs);
  const flags = check(libc.fcntl(master, F_GETFL, 0), "set up", "a terminal");
  check(libc.fcntl(master, F_SETFL, flags | O_NONBLOCK), "set up", "a terminal");
  check(libc.dup3(master, ours, O_CLOEXEC), "set up", "a terminal");
  libc.close(master);
  return { stream, fd: ours };
}
