import { chmodSync } from "node:fs";
import koffi from "koffi";
import { errnoNumber } from "./errno.ts";
import { systemError } from "./error.ts";
import { socketAddress } from "./fdpass.ts";
import { check, libc } from "./libc.ts";

/**
 * Unix sockets as plain descriptors (unix(7)): Node's own hide theirs, by which descriptors are sent and peers are asked
 * who they are. All are close-on-exec and do not wait.
 */

/** Who is at the other end, as the kernel knows it. */
export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
}

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_FLAGS = 0o2000000 | 0o4000;
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const F_DUPFD_CLOEXEC = 1030;
const BACKLOG = 64;

/** Errors: ENOENT, ECONNREFUSED (nobody listens), EAGAIN (too many wait already). */
export function connectUnix(path: string): number {
  const address = socketAddress(path);
  return opened(`socket ${path}`, (fd) =>
    check(libc.connect(fd, address, address.length), "connect to", path),
  );
}

/** A listening socket that only root may connect to. Errors: EADDRINUSE (something is at `path`). */
export function listenUnix(path: string): number {
  const address = socketAddress(path);
  return opened(`socket ${path}`, (fd) => {
    check(libc.bind(fd, address, address.length), "listen on", path);
    chmodSync(path, 0o600);
    check(libc.listen(fd, BACKLOG), "listen on", path);
  });
}

function opened(object: string, act: (fd: number) => unknown): number {
  const fd = check(libc.socket(AF_UNIX, SOCK_STREAM | SOCK_FLAGS, 0), "create", object);
  try {
    act(fd);
    return fd;
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

/** A connection that waits to be accepted; undefined when there is none (any more). */
export function acceptUnix(listener: number): number | undefined {
  const fd = libc.accept4(listener, null, null, SOCK_FLAGS);
  if (fd !== -1) return fd;
  const errno = koffi.errno();
  const name = errnoNumber.nameOf(errno);
  if (name === "EAGAIN" || name === "ECONNABORTED" || name === "EINTR") return undefined;
  throw systemError(errno, { operation: "accept from", object: `socket ${listener}` });
}

/** struct ucred: pid, uid, gid of whoever connected, or listened, at that moment. */
export function peerOf(socket: number): PeerCredentials {
  const credentials = Buffer.alloc(12);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(credentials.length);
  check(
    libc.getsockopt(socket, SOL_SOCKET, SO_PEERCRED, credentials, length),
    "ask for the peer of",
    `socket ${socket}`,
  );
  return { pid: credentials.readInt32LE(0), uid: credentials.readUInt32LE(4) };
}

/** Another descriptor of the same socket or file. */
export function duplicate(fd: number): number {
  return check(libc.fcntl(fd, F_DUPFD_CLOEXEC, 0), "duplicate", `descriptor ${fd}`);
}
