import { closeSync } from "node:fs";
import { Socket } from "node:net";
import koffi from "koffi";
import { check, libc } from "./libc.ts";

/**
 * Connected unix sockets and descriptors that travel over them (unix(7), cmsg(3)).
 * Node can neither make a socket pair nor send ancillary data.
 */

/** Both ends of a connected stream; close-on-exec, owned by the caller. */
export interface SocketPair {
  readonly ours: number;
  readonly theirs: number;
}

/** The kernel's SCM_MAX_FD: it refuses more in one message. */
const MAX_DESCRIPTORS = 253;

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;

const iovec = koffi.struct({ base: "void *", length: "size_t" });
const messageHeader = koffi.struct({
  name: "void *",
  nameLength: "uint32",
  vector: koffi.pointer(iovec),
  vectorLength: "size_t",
  control: "void *",
  controlLength: "size_t",
  flags: "int",
});
const messageHeaderPointer = koffi.pointer(messageHeader);

export function socketPair(): SocketPair {
  const ends = [-1, -1];
  check(
    libc.socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends),
    "create",
    "socket pair",
    "raise the limit of open files (ulimit -n)",
  );
  const [ours = -1, theirs = -1] = ends;
  return { ours, theirs };
}

/** Wraps a connected unix socket; the stream owns the descriptor from now on, unless this throws. */
export function socketOf(fd: number): Socket {
  return new Socket({ fd, readable: true, writable: true });
}

/** Closes what is still open of a list of descriptors that nobody else owns. */
export function closeAll(fds: Iterable<number>): void {
  for (const fd of fds) closeSync(fd);
}

/**
 * Sends `bytes` with `fds` attached to the first of them, without waiting. Returns how many bytes went, at least 1: the
 * descriptors are on their way then. Errors: EAGAIN when the peer does not read, EPIPE when it is gone, EBADF.
 */
export function sendDescriptors(socket: number, bytes: Uint8Array, fds: readonly number[]): number {
  const control = encodeRights(fds);
  const header = {
    name: null,
    nameLength: 0,
    vector: [{ base: bytes, length: bytes.length }],
    vectorLength: 1,
    control,
    controlLength: control.length,
    flags: 0,
  };
  const sent = libc.sendmsg(socket, koffi.as(header, messageHeaderPointer), MSG_DONTWAIT | MSG_NOSIGNAL);
  return check(Number(sent), "send", `${fds.length} descriptors over socket ${socket}`);
}

/** One SCM_RIGHTS control message for a 64-bit kernel: header {length u64, level i32, type i32}, then the descriptors, padded to 8. */
export function encodeRights(fds: readonly number[]): Buffer {
  if (fds.length === 0 || fds.length > MAX_DESCRIPTORS) {
    throw new RangeError(`a message carries 1 to ${MAX_DESCRIPTORS} descriptors, not ${fds.length}`);
  }
  const length = 16 + 4 * fds.length;
  const control = Buffer.alloc(Math.ceil(length / 8) * 8);
  control.writeBigUInt64LE(BigInt(length), 0);
  control.writeInt32LE(SOL_SOCKET, 8);
  control.writeInt32LE(SCM_RIGHTS, 12);
  for (const [index, fd] of fds.entries()) control.writeInt32LE(fd, 16 + 4 * index);
  return control;
}
