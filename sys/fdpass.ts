import { closeSync, fchmodSync, rmSync } from "node:fs";
import { Socket } from "node:net";
import koffi from "koffi";
import { check, libc } from "./libc.ts";

// Connected unix sockets and descriptors that travel over them (unix(7), cmsg(3)): Node can neither make a socket pair
// nor send ancillary data.

/** Both ends of a connected stream; close-on-exec, owned by the caller. */
export interface SocketPair {
  readonly ours: number;
  readonly theirs: number;
}

/** The kernel's SCM_MAX_FD: it refuses more in one message. */
const MAX_DESCRIPTORS = 253;

const AF_UNIX = 1;
const SUN_PATH_BYTES = 108;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x4000_0000;

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

/**
 * A listening socket, and a connection to it that waits to be accepted: for a server that wants to accept and whose
 * client must not wait for it. `path` is where they meet; nothing is there before and after, and nobody else gets in if
 * its folder lets nobody else in. Both are close-on-exec, owned by the caller.
 */
export function listeningPair(path: string): { readonly listening: number; readonly connected: number } {
  const address = socketAddress(path);
  const open: number[] = [];
  const socket = (): number => {
    const fd = check(libc.socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "create", "unix socket");
    open.push(fd);
    return fd;
  };
  try {
    const listening = socket();
    check(libc.bind(listening, address, address.length), "bind", path);
    check(libc.listen(listening, 1), "listen on", path);
    const connected = socket();
    check(libc.connect(connected, address, address.length), "connect to", path);
    return { listening, connected };
  } catch (error) {
    closeAll(open);
    throw error;
  } finally {
    rmSync(path, { force: true });
  }
}

/** A listening socket at `path`, for its owner only, in place of one that is there; close-on-exec, owned by the caller. */
export function listeningSocket(path: string): number {
  const fd = check(libc.socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "create", "unix socket");
  try {
    // What is bound has the mode of the socket (unix(7)).
    fchmodSync(fd, 0o600);
    const address = socketAddress(path);
    rmSync(path, { force: true });
    check(libc.bind(fd, address, address.length), "bind", path);
    check(libc.listen(fd, 1), "listen on", path);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** sockaddr_un (unix(7)). */
export function socketAddress(path: string): Buffer {
  const text = Buffer.from(path);
  if (text.length > SUN_PATH_BYTES - 1)
    throw new RangeError(`a unix socket's path has at most 107 bytes: ${path}`);
  const address = Buffer.alloc(2 + text.length + 1);
  address.writeUInt16LE(AF_UNIX, 0);
  text.copy(address, 2);
  return address;
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

/**
 * Takes one message off a connected unix socket without waiting: at most `bytes` and `count` descriptors, which are
 * close-on-exec and the caller's. More descriptors than that are closed by the kernel. EAGAIN: nothing came yet.
 */
export function receiveDescriptors(
  socket: number,
  bytes: number,
  count: number,
): { bytes: Buffer; descriptors: number[] } {
  const data = Buffer.alloc(bytes);
  const control = Buffer.alloc(Math.ceil((16 + 4 * count) / 8) * 8);
  const header = {
    name: null,
    nameLength: 0,
    vector: [{ base: data, length: data.length }],
    vectorLength: 1,
    control,
    controlLength: control.length,
    flags: 0,
  };
  const flags = MSG_DONTWAIT | MSG_CMSG_CLOEXEC;
  const received = libc.recvmsg(socket, koffi.as(header, messageHeaderPointer), flags);
  const length = check(Number(received), "receive", `descriptors over socket ${socket}`);
  return { bytes: data.subarray(0, length), descriptors: decodeRights(control) };
}

/** The descriptors in a buffer of control messages that was zero before the kernel wrote into it. */
function decodeRights(control: Buffer): number[] {
  const length = Number(control.readBigUInt64LE(0));
  if (length < 16 || control.readInt32LE(8) !== SOL_SOCKET || control.readInt32LE(12) !== SCM_RIGHTS)
    return [];
  return Array.from({ length: Math.floor((length - 16) / 4) }, (_, at) => control.readInt32LE(16 + 4 * at));
}
