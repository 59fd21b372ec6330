import { once } from "node:events";
import type { Socket } from "node:net";
import type { ServiceError } from "@grpc/grpc-js";
import type { PortForwardResponse } from "../../proto/gen/tapir/agent/v1/container.ts";
import type { GuestContainers, PortForwardStream } from "../containers-client.ts";
import { guestError } from "../guest-error.ts";

export interface ForwardTarget {
  readonly port: number;
  /** In the guest; "" is its loopback. */
  readonly address: string;
  /** Further addresses, for when nobody listens there. */
  otherwise?(): Promise<readonly string[]>;
}

const NOTHING = Buffer.alloc(0);

/**
 * Carries one connection to the guest and back, each way with its reader's speed and half-closed by itself. Resolves
 * when both ways have ended; rejects when nobody listens there or the guest goes away.
 */
export async function forward(socket: Socket, target: ForwardTarget, guest: GuestContainers): Promise<void> {
  const { stream, responses } = await dial(target, guest);
  const closed = new AbortController();
  const abandon = (): void => {
    closed.abort();
    stream.cancel();
  };
  // An error is followed by the close.
  socket.on("error", () => undefined);
  socket.once("close", abandon);
  try {
    await Promise.all([send(socket, stream, closed.signal), receive(responses, socket, closed.signal)]);
  } catch (error) {
    if (!socket.destroyed) throw guestError("forward to", error as ServiceError);
  } finally {
    socket.off("close", abandon);
  }
}

interface Dialled {
  readonly stream: PortForwardStream;
  readonly responses: AsyncIterator<PortForwardResponse>;
}

/** The first address that answers; the first one's refusal when none does. */
async function dial(target: ForwardTarget, guest: GuestContainers): Promise<Dialled> {
  const { port, address } = target;
  try {
    return await connect(port, address, guest);
  } catch (refusal) {
    for (const other of (await target.otherwise?.()) ?? []) {
      const found = await connect(port, other, guest).catch(() => undefined);
      if (found !== undefined) return found;
    }
    throw guestError("forward to", refusal as ServiceError);
  }
}

async function connect(port: number, address: string, guest: GuestContainers): Promise<Dialled> {
  const stream = guest.portForward();
  // Said to whoever reads it.
  stream.on("error", () => undefined);
  stream.write({ port, address, data: NOTHING });
  const responses = stream[Symbol.asyncIterator]() as AsyncIterator<PortForwardResponse>;
  await responses.next();
  return { stream, responses };
}

async function send(socket: Socket, stream: PortForwardStream, signal: AbortSignal): Promise<void> {
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    const request = { port: 0, address: "", data: chunk as Buffer };
    if (!stream.write(request)) await once(stream, "drain", { signal });
  }
  stream.end();
}

async function receive(
  responses: AsyncIterator<PortForwardResponse>,
  socket: Socket,
  signal: AbortSignal,
): Promise<void> {
  for (let next = await responses.next(); next.done !== true; next = await responses.next()) {
    const { data, end } = next.value;
    if (data.length > 0 && !socket.write(data)) await once(socket, "drain", { signal });
    if (end) socket.end();
  }
  socket.end();
}
