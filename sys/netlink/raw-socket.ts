import { readdirSync } from "node:fs";
import { RawNetlinkSocket } from "netlink/dist/raw.js";
import { wrapError } from "../error.ts";
import { libc } from "../libc.ts";
import { inNetns } from "../netns.ts";

const NETLINK_ROUTE = 0;
const AF_NETLINK = 16;
const SOL_NETLINK = 270;
const NETLINK_NO_ENOBUFS = 5;
const SOL_SOCKET = 1;
const SO_MEMINFO = 55;
/** Index of SK_MEMINFO_DROPS among the numbers of SO_MEMINFO (linux/sock_diag.h). */
const DROPS = 8;
/** Asked for; the kernel caps it at net.core.rmem_max. Only bursts of events need it. */
const RECEIVE_BUFFER_BYTES = 1 << 20;
const SEND_BUFFER_BYTES = 1 << 15;

/** Where an rtnetlink socket belongs for its whole life. */
export interface SocketPlace {
  /** Path of the namespace; the caller's when not given. */
  readonly netns?: string | undefined;
}

export interface RawSocketOptions extends SocketPlace {
  /** Not set: as much as bursts of events need. */
  readonly receiveBufferBytes?: number;
}

export interface RawSocket {
  readonly raw: RawNetlinkSocket;
  /** Messages that the kernel dropped so far because nobody fetched those before. */
  dropped(): number;
}

/** A bound rtnetlink socket for events, not keeping the event loop alive. */
export function openRawSocket(options: RawSocketOptions): RawSocket {
  return openAt(options, () => {
    const raw = new RawNetlinkSocket(NETLINK_ROUTE, {
      recvBufferSize: options.receiveBufferBytes ?? RECEIVE_BUFFER_BYTES,
      sendBufferSize: SEND_BUFFER_BYTES,
    });
    raw.unref();
    const fd = descriptorOf(raw.address().port);
    if (fd !== undefined) surviveOverruns(fd);
    return { raw, dropped: () => droppedBy(fd) };
  });
}

/** Runs `open` in its place. */
export function openAt<T>({ netns }: SocketPlace, open: () => T extends Promise<unknown> ? never : T): T {
  try {
    return netns === undefined ? open() : inNetns(netns, open);
  } catch (error) {
    const place = netns === undefined ? "" : ` in netns ${netns}`;
    throw wrapError(error, { operation: "open", object: `rtnetlink socket${place}` });
  }
}

/** The library ends the process when the kernel says ENOBUFS; the counter of drops says the same. */
function surviveOverruns(fd: number): void {
  const on = Buffer.alloc(4);
  on.writeInt32LE(1);
  libc.setsockopt(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, on, on.length);
}

function droppedBy(fd: number | undefined): number {
  const numbers = Buffer.alloc(4 * (DROPS + 1));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(numbers.length);
  if (fd === undefined || libc.getsockopt(fd, SOL_SOCKET, SO_MEMINFO, numbers, length) !== 0) return 0;
  return numbers.readUInt32LE(4 * DROPS);
}

/** The library keeps the descriptor to itself; the socket's own address finds it (sockaddr_nl, netlink(7)). */
function descriptorOf(port: number): number | undefined {
  const address = Buffer.alloc(12);
  const length = Buffer.alloc(4);
  // The newest descriptors have the highest numbers, most of the time.
  for (const fd of readdirSync("/proc/self/fd").map(Number).reverse()) {
    length.writeUInt32LE(address.length);
    if (libc.getsockname(fd, address, length) !== 0) continue;
    if (address.readUInt16LE(0) === AF_NETLINK && address.readUInt32LE(4) === port >>> 0) return fd;
  }
  return undefined;
}
