import type { Deadline } from "../deadline.ts";
import { systemError, TapirError, wrapError } from "../error.ts";
import { Code } from "../status.ts";
import { type Exchange, newExchange } from "./exchange.ts";
import { decodeMessages, encodeMessage, type Message, NLM_F } from "./message.ts";
import { openRawSocket, type RawSocketOptions } from "./raw-socket.ts";

/** One thing asked of the kernel. `operation` and `object` are for the error: "add", "address 10.0.0.1/24 dev eth0". */
export interface RouteRequest {
  readonly type: number;
  /** NLM_F_* besides REQUEST and ACK. */
  readonly flags?: number;
  readonly payload: Buffer;
  readonly operation: string;
  /** Asked for only when the request failed: naming a link may cost a question of its own. */
  readonly object: string | (() => Promise<string>);
}

/** An rtnetlink socket. Requests may overlap; dumps wait for each other. Dispose it to close it. */
export interface RouteSocket extends Disposable, AsyncDisposable {
  /** Sends `request` and resolves with the replies before its acknowledgement. A refusal is a TapirError with errno. */
  request(request: RouteRequest, deadline: Deadline): Promise<readonly Message[]>;
  /** Reads a whole table, again from the start when it changed meanwhile. */
  dump(request: Omit<RouteRequest, "flags">, deadline: Deadline): Promise<readonly Message[]>;
}

/** A table that changes all the time is given up after this many reads. */
const DUMP_ATTEMPTS = 20;

interface Pending {
  readonly exchange: Exchange;
  readonly resolve: (exchange: Exchange) => void;
  readonly reject: (error: unknown) => void;
}

/** Opens a socket that belongs to `netns` (or to the caller's namespace) for its whole life. */
export function openRoute(options: RawSocketOptions = {}): RouteSocket {
  const { raw } = openRawSocket(options);
  const pending = new Map<number, Pending>();
  let lastSequence = 0;
  let closed = false;
  let dumps: Promise<unknown> = Promise.resolve();

  const failAll = (error: unknown): void => {
    for (const one of pending.values()) one.reject(error);
  };
  raw.on("error", failAll);
  raw.on("message", (datagram, { port }) => {
    if (port !== 0) return; // Only the kernel answers; another process may write to our port too.
    try {
      for (const message of decodeMessages(datagram)) {
        const one = pending.get(message.sequence);
        if (one?.exchange.accept(message)) one.resolve(one.exchange);
      }
    } catch (error) {
      failAll(error);
    }
  });

  const exchange = async (type: number, flags: number, payload: Buffer, deadline: Deadline) => {
    if (closed) throw closedError();
    lastSequence = (lastSequence % 0xffff_ffff) + 1;
    const sequence = lastSequence;
    const answered = new Promise<Exchange>((resolve, reject) => {
      pending.set(sequence, { exchange: newExchange(), resolve, reject });
      raw.ref();
      const message = { type, flags: flags | NLM_F.REQUEST, sequence, port: raw.address().port, payload };
      raw.send(encodeMessage(message), undefined, (error) => {
        if (error !== undefined) reject(error);
      });
    });
    try {
      return await deadline.race(answered);
    } finally {
      pending.delete(sequence);
      if (pending.size === 0 && !closed) raw.unref();
    }
  };

  const ask = async (request: RouteRequest, flags: number, deadline: Deadline): Promise<Exchange> => {
    let answer: Exchange;
    try {
      answer = await exchange(request.type, flags, request.payload, deadline);
    } catch (error) {
      throw wrapError(error, { operation: request.operation, object: await objectOf(request) });
    }
    const { errno, text } = answer.acknowledgement;
    if (errno === 0) return answer;
    throw systemError(errno, {
      operation: request.operation,
      object: await objectOf(request),
      ...(text === undefined ? {} : { cause: text }),
    });
  };

  const close = (): void => {
    if (closed) return;
    closed = true;
    raw.close();
    failAll(closedError());
  };

  return {
    async request(request, deadline) {
      return (await ask(request, (request.flags ?? 0) | NLM_F.ACK, deadline)).replies;
    },
    dump(request, deadline) {
      const run = async (): Promise<readonly Message[]> => {
        for (let attempt = 0; attempt < DUMP_ATTEMPTS; attempt++) {
          const answer = await ask(request, NLM_F.DUMP, deadline);
          if (!answer.interrupted) return answer.replies;
        }
        throw systemError("EINTR", {
          operation: request.operation,
          object: await objectOf(request),
          cause: `it changed during each of ${DUMP_ATTEMPTS} reads`,
        });
      };
      // The kernel runs one dump per socket (EBUSY else).
      const mine = dumps.then(run);
      dumps = mine.catch(() => undefined);
      return mine;
    },
    [Symbol.dispose]: close,
    async [Symbol.asyncDispose]() {
      close();
    },
  };
}

async function objectOf(request: RouteRequest): Promise<string> {
  return typeof request.object === "string" ? request.object : request.object();
}

function closedError(): TapirError {
  return new TapirError({
    code: Code.CANCELLED,
    operation: "use",
    object: "rtnetlink socket",
    cause: "it was closed",
  });
}
