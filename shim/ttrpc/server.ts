import type { Socket } from "node:net";
import {
  createDecoder,
  encodeFrame,
  FrameFlag,
  FrameType,
  MAX_PAYLOAD_BYTES,
  type Received,
} from "./frame.ts";
import { decodeRequest, encodeResponse, type KeyValue, type Request } from "./message.ts";
import { type Status, StatusCode, statusOf, TtrpcError } from "./status.ts";

/** What a handler knows of its call beside the message. */
export interface Call {
  readonly method: string;
  /** Aborts when the caller's time is up or its connection is gone. */
  readonly signal: AbortSignal;
  /** Milliseconds the caller gave; undefined = no limit. */
  readonly timeoutMs: number | undefined;
  readonly metadata: readonly KeyValue[];
}

/** Takes and gives an encoded message. What it throws becomes the status. */
export type Handler = (payload: Uint8Array, call: Call) => Promise<Uint8Array>;

export interface ServerOptions {
  /** Service name → method name → handler. */
  readonly services: Readonly<Record<string, Readonly<Record<string, Handler>>>>;
  /** Translates what a handler threw; the default knows TtrpcError only. */
  readonly statusOf?: (thrown: unknown) => Status;
  /** Called when the last connection is gone. */
  readonly onIdle?: () => void;
}

export interface Server {
  /** Serves one accepted connection until it closes. */
  accept(socket: Socket): void;
  /** Ends all connections after what was answered is written. */
  close(): Promise<void>;
}

/** A server of unary calls: any number at once on any number of connections. No byte a client sends can make it throw. */
export function createServer(options: ServerOptions): Server {
  const sockets = new Set<Socket>();
  return {
    accept(socket) {
      sockets.add(socket);
      serveConnection(socket, options);
      socket.on("close", () => {
        sockets.delete(socket);
        if (sockets.size === 0) options.onIdle?.();
      });
    },
    async close() {
      const ends = [...sockets].map((socket) => {
        const { promise, resolve } = Promise.withResolvers<void>();
        socket.once("close", () => resolve());
        // The peer may keep its half open: once ours is flushed, it is over.
        socket.end(() => socket.destroy());
        return promise;
      });
      await Promise.all(ends);
    },
  };
}

function serveConnection(socket: Socket, options: ServerOptions): void {
  const decoder = createDecoder();
  const gone = new AbortController();
  let lastStreamId = 0;

  const respond = (streamId: number, status: Status, payload: Uint8Array = new Uint8Array(0)): void => {
    if (!socket.writable) return;
    let message = encodeResponse({ status, payload });
    if (message.length > MAX_PAYLOAD_BYTES) {
      message = encodeResponse({ status: tooLong("response", message.length), payload: new Uint8Array(0) });
    }
    socket.write(encodeFrame(streamId, FrameType.RESPONSE, message));
  };

  const receive = (received: Received): void => {
    const { streamId, type } = received.header;
    // Unknown types are for later versions of the protocol; data on a unary stream has nobody to go to.
    if (type !== FrameType.REQUEST) return;
    const opened = openStream(received, lastStreamId);
    if (streamId % 2 === 1) lastStreamId = Math.max(lastStreamId, streamId);
    if ("code" in opened) {
      respond(streamId, opened);
      return;
    }
    void answer(opened, gone.signal, options).then(({ status, payload }) =>
      respond(streamId, status, payload),
    );
  };

  socket.on("data", (chunk: Buffer) => {
    for (const received of decoder.push(chunk)) receive(received);
  });
  // "close" follows every error, and is where the connection ends.
  socket.on("error", () => undefined);
  socket.on("end", () => socket.end());
  socket.on("close", () => {
    gone.abort(new TtrpcError(StatusCode.CANCELLED, "the caller's connection is closed"));
  });
}

/** The request that opens a stream, or why it cannot. */
function openStream(received: Received, lastStreamId: number): Request | Status {
  const { streamId, flags, length } = received.header;
  if (streamId % 2 === 0) return invalid(`stream id ${streamId} of a client must be odd`);
  if (streamId <= lastStreamId) return invalid(`stream id ${streamId} was used before`);
  if (received.kind === "oversize") return tooLong("request", length);
  if ((flags & FrameFlag.REMOTE_OPEN) !== 0) {
    return { code: StatusCode.UNIMPLEMENTED, message: "streaming calls are not supported" };
  }
  try {
    return decodeRequest(received.payload);
  } catch (error) {
    return invalid(`request is not a protobuf message: ${statusOf(error).message}`);
  }
}

/** Runs the handler, for at most as long as the caller waits. Never rejects. */
async function answer(
  request: Request,
  gone: AbortSignal,
  options: ServerOptions,
): Promise<{ status: Status; payload: Uint8Array }> {
  const toStatus = options.statusOf ?? statusOf;
  const deadline = callDeadline(request, gone);
  try {
    const payload = await Promise.race([
      findHandler(request, options)(request.payload, deadline.call),
      deadline.passed,
    ]);
    return { status: { code: StatusCode.OK, message: "" }, payload };
  } catch (error) {
    return { status: toStatus(error), payload: new Uint8Array(0) };
  } finally {
    deadline.clear();
  }
}

function findHandler(request: Request, options: ServerOptions): Handler {
  const { service, method } = request;
  const methods = Object.hasOwn(options.services, service) ? options.services[service] : undefined;
  if (methods === undefined)
    throw new TtrpcError(StatusCode.UNIMPLEMENTED, `service ${service} is not implemented`);
  const handler = Object.hasOwn(methods, method) ? methods[method] : undefined;
  if (handler === undefined) {
    throw new TtrpcError(StatusCode.UNIMPLEMENTED, `method /${service}/${method} is not implemented`);
  }
  return handler;
}

/** The longest delay setTimeout takes; a caller that waits longer waits for ever. */
const MAX_TIMER_MS = 2 ** 31 - 1;

function callDeadline(
  request: Request,
  gone: AbortSignal,
): { call: Call; passed: Promise<never>; clear(): void } {
  const { method, timeoutNano, metadata } = request;
  const timeoutMs = timeoutNano > 0n ? Number(timeoutNano / 1_000_000n) : undefined;
  const { promise: passed, reject } = Promise.withResolvers<never>();
  // Nobody may be waiting any more when the connection closes.
  passed.catch(() => undefined);
  const timeout = new AbortController();
  const timer =
    timeoutMs === undefined || timeoutMs > MAX_TIMER_MS
      ? undefined
      : setTimeout(() => {
          const error = new TtrpcError(StatusCode.DEADLINE_EXCEEDED, `${method} took over ${timeoutMs} ms`);
          timeout.abort(error);
          reject(error);
        }, timeoutMs);
  const onGone = (): void => {
    timeout.abort(gone.reason);
    reject(gone.reason);
  };
  gone.addEventListener("abort", onGone, { once: true });
  return {
    call: { method, signal: timeout.signal, timeoutMs, metadata },
    passed,
    clear() {
      clearTimeout(timer);
      gone.removeEventListener("abort", onGone);
    },
  };
}

function invalid(message: string): Status {
  return { code: StatusCode.INVALID_ARGUMENT, message };
}

function tooLong(what: string, bytes: number): Status {
  return {
    code: StatusCode.RESOURCE_EXHAUSTED,
    message: `${what} of ${bytes} bytes is over the limit of ${MAX_PAYLOAD_BYTES}`,
  };
}
