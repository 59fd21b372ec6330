import { closeSync } from "node:fs";
import koffi from "koffi";
import type { Deadline } from "../deadline.ts";
import { errnoNumber } from "../errno.ts";
import { systemError } from "../error.ts";
import { check, libc } from "../libc.ts";
import { becomesReadable } from "../readable.ts";
import { openAt, type SocketPlace } from "./raw-socket.ts";

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0x800;
const SOCK_CLOEXEC = 0x8_0000;
const NETLINK_ROUTE = 0;
const SOL_NETLINK = 270;
const NETLINK_EXT_ACK = 11;
const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
/** Of many acknowledgements none may get lost. */
const RECEIVE_BUFFER_BYTES = 1 << 20;
/** The kernel's datagrams have at most 32 KiB, or the size of one record, or of the request that it refused. */
const READ_BYTES = 1 << 16;
const OBJECT = "rtnetlink socket";

/**
 * An rtnetlink socket for questions. The kernel works on a message while it is being sent: its answer, or the first part of a
 * table, is there when that returns, and the next part is made when one is read. So nobody waits, and no turn of the event
 * loop is needed.
 */
export interface QuestionSocket extends Disposable {
  send(bytes: Buffer): void;
  /** The kernel's next datagram; undefined when there is none now. ENOBUFS: some were lost. */
  receive(): Buffer | undefined;
  /** Resolves when there is one; rejects with the deadline's error. */
  readable(deadline: Deadline): Promise<void>;
}

export function openQuestionSocket(place: SocketPlace): QuestionSocket {
  const fd = openAt(place, open);
  const buffer = Buffer.alloc(READ_BYTES);
  return {
    send: (bytes) => void check(libc.write(fd, bytes, bytes.length), "write to", OBJECT),
    receive() {
      const count = libc.read(fd, buffer, buffer.length);
      if (count !== -1) return copyOf(buffer, count);
      const errno = errnoNumber.nameOf(koffi.errno());
      if (errno === "EAGAIN" || errno === "EINTR") return undefined;
      throw systemError(errno, { operation: "read", object: OBJECT });
    },
    async readable(deadline) {
      if (!(await becomesReadable(fd, deadline))) deadline.signal.throwIfAborted();
    },
    [Symbol.dispose]: () => closeSync(fd),
  };
}

function copyOf(bytes: Buffer, count: number): Buffer {
  const copy = Buffer.allocUnsafe(count);
  bytes.copy(copy, 0, 0, count);
  return copy;
}

/** Connected to the kernel: nobody else's messages come in. */
function open(): number {
  const type = SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC;
  const fd = check(libc.socket(AF_NETLINK, type, NETLINK_ROUTE), "make", OBJECT);
  try {
    // sockaddr_nl: port 0 is the kernel; of our own the kernel chooses one.
    const kernel = Buffer.alloc(12);
    kernel.writeUInt16LE(AF_NETLINK);
    check(libc.connect(fd, kernel, kernel.length), "connect", OBJECT);
    // Without the one errors lack the kernel's sentence, without the other many answers at once may be too many: no error.
    setOption(fd, SOL_NETLINK, NETLINK_EXT_ACK, 1);
    setOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function setOption(fd: number, level: number, option: number, value: number): void {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  libc.setsockopt(fd, level, option, bytes, bytes.length);
}
