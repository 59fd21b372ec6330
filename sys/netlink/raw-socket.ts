import { readdirSync } from "node:fs";
import { RawNetlinkSocket } from "netlink/dist/raw.js";
import { wrapError } from "../error.ts";
import { libc } from "../libc.ts";
import { inNetns } from "../netns.ts";

const NETLINK_ROUTE = 0;
const AF_NETLINK = 16;
const SOL_NETLINK = 270;
const NETLINK_EXT_ACK = 11;
/** Asked for; the kernel caps it at net.core.rmem_max. Only bursts of events need it. */
const RECEIVE_BUFFER_BYTES = 1 << 20;
const SEND_BUFFER_BYTES = 1 << 15;

export interface RawSocketOptions {
  /** Path of the namespace the socket belongs to for its whole life; the caller's when not given. */
  readonly netns?: string | undefined;
}

/** A bound rtnetlink socket with extended acknowledgements, not keeping the event loop alive. */
export function openRawSocket(options: RawSocketOptions): RawNetlinkSocket {
  const open = (): RawNetlinkSocket =>
    new RawNetlinkSocket(NETLINK_ROUTE, {
      recvBufferSize: RECEIVE_BUFFER_BYTES,
      sendBufferSize: SEND_BUFFER_BYTES,
    });
  try {
    const socket = options.netns === undefined ? open() : inNetns(options.netns, open);
    socket.unref();
    enableExtendedAck(socket.address().port);
    return socket;
  } catch (error) {
    const place = options.netns === undefined ? "" : ` in netns ${options.netns}`;
    throw wrapError(error, { operation: "open", object: `rtnetlink socket${place}` });
  }
}

/** Without it errors lack the kernel's sentence, nothing more: failing here is no error. */
function enableExtendedAck(port: number): void {
  const fd = descriptorOf(port);
  if (fd === undefined) return;
  const on = Buffer.alloc(4);
  on.writeInt32LE(1);
  libc.setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, on, on.length);
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
