import { RawNetlinkSocket } from "netlink/dist/raw.js";
import { wrapError } from "./error.ts";

const NETLINK_KOBJECT_UEVENT = 15;
/** Group 1: the kernel's own events (2 is udev's). */
const KERNEL_GROUP = 1;
const BUFFER_BYTES = 1 << 18;

/** Calls `listener` for each event of the kernel's device model (ACTION@devpath) until disposed. */
export function watchUevents(listener: (event: string) => void): Disposable {
  let socket: RawNetlinkSocket;
  try {
    socket = new RawNetlinkSocket(NETLINK_KOBJECT_UEVENT, {
      localGroups: KERNEL_GROUP,
      recvBufferSize: BUFFER_BYTES,
      sendBufferSize: BUFFER_BYTES,
    });
  } catch (error) {
    throw wrapError(error, { operation: "watch", object: "kernel device events" });
  }
  socket.on("message", (message) => {
    const end = message.indexOf(0);
    listener(message.toString("latin1", 0, end === -1 ? message.length : end));
  });
  // An overrun (ENOBUFS) means events were lost: the listener has to look again.
  socket.on("error", () => listener(""));
  return { [Symbol.dispose]: () => socket.close() };
}
