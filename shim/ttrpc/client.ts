import { createConnection, type Socket } from "node:net";
import { createDecoder, encodeFrame, FrameType, MAX_PAYLOAD_BYTES, type Received } from "./frame.ts";
import { decodeResponse, encodeRequest, type KeyValue } from "./message.ts";
import { StatusCode, TtrpcError } from "./status.ts";

export interface CallOptions {
  /** Milliseconds until the call fails with DEADLINE_EXCEEDED; the server is told. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  readonly metadata?: readonly KeyValue[];
}

/** One connection. Calls run side by side on it. */
export interface Client {
  /** Calls `service/method` with an encoded message. Rejects with TtrpcError. */
  call(service: string, method: string, payload: Uint8Array, options: CallOptions): Promise<Uint8Array>;
  /** Resolves once the connection is gone; all calls have been rejected then. */
  readonly closed: Promise<void>;
  close(): void;
}

/** Connects to a unix socket. Rejects with the system's error (`ENOENT`, `ECONNREFUSED`) or UNAVAILABLE after `timeoutMs`. */
export async function connect(path: string, timeoutMs: number): Promise<Client> {
  const socket = createConnection(path);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = setTimeout(() => {
    reject(new TtrpcError(StatusCode.UNAVAILABLE, `${path} did not accept within ${timeoutMs} ms`));
  }, timeoutMs);
  socket.once("connect", () => resolve());
  socket.once("error", reject);
  try {
    await promise;
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    clearTimeout(timer);
    socket.removeListener("error", reject);
  }
  return createClient(socket);
}

/** A client on a connected socket, which it owns from now on. */
function createClient(socket: Socket): Client {
  const decoder = createDecoder();
  const pending = new Map<number, { resolve(payload: Uint8Array): void; reject(error: TtrpcError): void }>();
  const closed = Promise.withResolvers<void>();
  let nextStreamId = 1;
  let failure = "connection is closed";

  const receive = (received: Received): void => {
    const { streamId, type, length } = received.header;
    const call = pending.get(streamId);
    // Late answers of calls that were given up, and frames of a later protocol.
    if (call === undefined || type !== FrameType.RESPONSE) return;
    pending.delete(streamId);
    if (received.kind === "oversize") {
      const message = `response of ${length} bytes is over the limit of ${MAX_PAYLOAD_BYTES}`;
      call.reject(new TtrpcError(StatusCode.RESOURCE_EXHAUSTED, message));
      return;
    }
    try {
      const { status, payload } = decodeResponse(received.payload);
      if (status.code === StatusCode.OK) call.resolve(payload);
      else call.reject(new TtrpcError(status.code, status.message));
    } catch {
      call.reject(new TtrpcError(StatusCode.UNKNOWN, "response is not a protobuf message"));
    }
  };

  socket.on("data", (chunk: Buffer) => {
    for (const received of decoder.push(chunk)) receive(received);
  });
  socket.on("error", (error) => {
    failure = error.message;
  });
  socket.on("close", () => {
    for (const call of pending.values()) call.reject(new TtrpcError(StatusCode.UNAVAILABLE, failure));
    pending.clear();
    closed.resolve();
  });

  const call: Client["call"] = async (service, method, payload, options) => {
    if (options.signal?.aborted === true) throw cancelled(method);
    if (socket.destroyed || !socket.writable) throw new TtrpcError(StatusCode.UNAVAILABLE, failure);
    const timeoutNano = BigInt(Math.ceil(options.timeoutMs)) * 1_000_000n;
    const request = encodeRequest({
      service,
      method,
      payload,
      timeoutNano,
      metadata: options.metadata ?? [],
    });
    if (request.length > MAX_PAYLOAD_BYTES) {
      const message = `request of ${request.length} bytes is over the limit of ${MAX_PAYLOAD_BYTES}`;
      throw new TtrpcError(StatusCode.RESOURCE_EXHAUSTED, message);
    }
    const streamId = nextStreamId;
    nextStreamId += 2;
    // Ids never come again on a connection; after 2^31 calls a new one has to be made.
    if (nextStreamId > 0xffff_ffff) socket.end();
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    pending.set(streamId, { resolve, reject });
    const giveUp = (error: TtrpcError): void => {
      pending.delete(streamId);
      reject(error);
    };
    const onAbort = (): void => giveUp(cancelled(method));
    const timer = setTimeout(() => {
      giveUp(new TtrpcError(StatusCode.DEADLINE_EXCEEDED, `${method} took over ${options.timeoutMs} ms`));
    }, options.timeoutMs);
    options.signal?.addEventListener("abort", onAbort, { once: true });
    socket.write(encodeFrame(streamId, FrameType.REQUEST, request));
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      options.signal?.removeEventListener("abort", onAbort);
    }
  };
  return { call, closed: closed.promise, close: () => socket.destroy() };
}

function cancelled(method: string): TtrpcError {
  return new TtrpcError(StatusCode.CANCELLED, `${method} was given up`);
}
