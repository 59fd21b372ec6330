import { once } from "node:events";
import type { Socket } from "node:net";
import type { ServiceError } from "@grpc/grpc-js";
import type { PortForwardResponse } from "../../proto/gen/tapir/agent/v1/container.ts";
import { TapirError } from "../../sys/error.ts";
import type { GuestContainers, PortForwardStream } from "../containers-client.ts";
import { guestError } from "../guest-error.ts";

export interface ForwardTarget {
  readonly port: number;
  /** In the guest; "" is its loopback. */
  readonly address: string;
  /** Further addresses, for when nobody listens there. */
  otherwise?(): Promise<readonly string[]>;
}

/** How long a guest may take to say whether somebody listens. */
const DIAL_MS = 30_000;
/** Of those that a guest says it has. */
const MAX_ADDRESSES = 16;
const NOTHING = Buffer.alloc(0);

/**
 * Carries one connection to the guest and back, each way with its reader's speed and half-closed by itself. Resolves
 * when both ways have ended; rejects when nobody listens there or the guest goes away.
 */
export async function forward(socket: Socket, target: ForwardTarget, guest: GuestContainers): Promise<void> {
  const closed = new AbortController();
  const abandon = (): void => closed.abort();
  // An error is followed by the close.
  socket.on("error", () => undefined);
  socket.once("close", abandon);
  try {
    // The client may leave while the guest says nothing.
    const { stream, responses } = await dial(target, guest, closed.signal);
    await Promise.all([send(socket, stream, closed.signal), receive(responses, socket, closed.signal)]);
  } catch (error) {
    if (socket.destroyed) return;
    throw error instanceof TapirError ? error : guestError("forward to", error as ServiceError);
  } finally {
    socket.off("close", abandon);
  }
}

interface Dialled {
  readonly stream: PortForwardStream;
  readonly responses: AsyncIterator<PortForwardResponse>;
}

/** The first address that answers; the first one's refusal when none does. */
async function dial(
  { port, address, otherwise }: ForwardTarget,
  guest: GuestContainers,
  closed: AbortSignal,
): Promise<Dialled> {
  try {
    return await connect(port, address, guest, closed);
  } catch (refusal) {
    for (const other of ((await otherwise?.()) ?? []).slice(0, MAX_ADDRESSES)) {
      const found = await connect(port, other, guest, closed).catch(() => undefined);
      if (found !== undefined) return found;
    }
    throw refusal;
  }
}

async function connect(
  port: number,
  address: string,
  guest: GuestContainers,
  closed: AbortSignal,
): Promise<Dialled> {
  const stream = await guest.portForward();
  const cancel = (): void => stream.cancel();
  if (closed.aborted) cancel();
  closed.addEventListener("abort", cancel, { once: true });
  stream.once("close", () => closed.removeEventListener("abort", cancel));
  // Nobody reads the client meanwhile, so its leaving may not be noticed.
  const late = setTimeout(cancel, DIAL_MS);
  // Said to whoever reads it.
  stream.on("error", () => undefined);
  stream.write({ port, address, data: NOTHING });
  const responses = stream[Symbol.asyncIterator]() as AsyncIterator<PortForwardResponse>;
  try {
    await responses.next();
  } finally {
    clearTimeout(late);
  }
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
