import { connect, type Socket } from "node:net";
import type { ServerDuplexStream } from "@grpc/grpc-js";
import type { PortForwardRequest, PortForwardResponse } from "../proto/gen/tapir/agent/v1/container.ts";
import { type Deadline, deadlineIn } from "../sys/deadline.ts";
import { wrapError } from "../sys/error.ts";

export type ForwardCall = ServerDuplexStream<PortForwardRequest, PortForwardResponse>;

const CONNECT_MS = 10_000;

/** Connects to a server in the guest: to `address`, or to where a local server may listen. */
export async function dial(port: number, address: string): Promise<Socket> {
  const deadline = deadlineIn(CONNECT_MS, `connect to port ${port}`);
  if (address !== "") return connectTo(address, port, deadline);
  try {
    return await connectTo("127.0.0.1", port, deadline);
  } catch (error) {
    // Of the two, IPv4's answer is the one to tell.
    return connectTo("::1", port, deadline).catch(() => {
      throw error;
    });
  }
}

async function connectTo(host: string, port: number, deadline: Deadline): Promise<Socket> {
  const socket = connect({ host, port, allowHalfOpen: true });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.once("connect", resolve);
  socket.once("error", reject);
  try {
    await deadline.race(promise);
    socket.off("error", reject);
    return socket;
  } catch (error) {
    socket.destroy();
    throw wrapError(error, { operation: "connect to", object: `${host} port ${port}` });
  }
}

/** Carries bytes both ways until both sides have ended, or one breaks. Each way waits for its reader. */
export function carryConnection(call: ForwardCall, socket: Socket): void {
  let ended = false;
  const breakOff = (): void => {
    socket.destroy();
  };
  const finish = (): void => {
    if (ended) return;
    ended = true;
    call.end();
  };
  call.write({ data: Buffer.alloc(0), end: false });
  socket.on("data", (data) => {
    if (!call.write({ data, end: false })) socket.pause();
  });
  socket.on("end", () => call.write({ data: Buffer.alloc(0), end: true }));
  socket.on("close", finish);
  socket.on("error", finish);
  socket.on("drain", () => call.resume());
  call.on("drain", () => socket.resume());
  call.on("data", ({ data }: PortForwardRequest) => {
    if (data.length > 0 && !socket.destroyed && !socket.write(data)) call.pause();
  });
  call.on("end", () => socket.end());
  call.resume();
  call.on("cancelled", breakOff);
  call.on("error", breakOff);
}
