import type { Deadline } from "../deadline.ts";
import { systemError, TapirError, wrapError } from "../error.ts";
import { Code } from "../status.ts";
import { type Exchange, newExchange } from "./exchange.ts";
import { decodeMessages, encodeMessage, type Message, NLM_F } from "./message.ts";
import { openQuestionSocket } from "./question-socket.ts";
import type { SocketPlace } from "./raw-socket.ts";

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

/**
 * An rtnetlink socket. Requests may overlap: those made in one turn go to the kernel in one piece, which does them in their order
 * whatever becomes of each. Dumps wait for each other. Dispose it to close it.
 */
export interface RouteSocket extends Disposable, AsyncDisposable {
  /** Sends `request` and resolves with the replies before its acknowledgement. A refusal is a TapirError with errno. */
  request(request: RouteRequest, deadline: Deadline): Promise<readonly Message[]>;
  /** Reads a whole table, again from the start when it changed meanwhile. */
  dump(request: Omit<RouteRequest, "flags">, deadline: Deadline): Promise<readonly Message[]>;
}

/** More than these are sent in several pieces: each has room in the socket's buffer. */
const BATCH_MESSAGES = 64;

interface Pending {
  readonly exchange: Exchange;
  /** Requests sent with it, before it, whose success is said with its own. */
  readonly acknowledges: number[];
}

/** What goes to the kernel in one piece. */
interface Batch {
  readonly messages: Message[];
  readonly sent: PromiseWithResolvers<void>;
}

const newBatch = (): Batch => ({ messages: [], sent: Promise.withResolvers() });

/** A table that changes all the time is given up after this many reads. */
const DUMP_ATTEMPTS = 20;

/** Opens a socket that belongs to `netns` (or to the caller's namespace) for its whole life. */
export function openRoute(place: SocketPlace = {}): RouteSocket {
  const kernel = openQuestionSocket(place);
  const pending = new Map<number, Pending>();
  let lastSequence = 0;
  let closed = false;
  let dumps: Promise<unknown> = Promise.resolve();
  let batch = newBatch();

  /** Hands out what is there until that request has its answer; it may have come with somebody else's reading. */
  const readUntil = (sequence: number): void => {
    while (pending.has(sequence)) {
      const datagram = kernel.receive();
      if (datagram === undefined) return;
      for (const message of decodeMessages(datagram)) {
        const one = pending.get(message.sequence);
        if (one?.exchange.accept(message) !== true) continue;
        pending.delete(message.sequence);
        for (const before of one.acknowledges) pending.delete(before);
      }
    }
  };

  /** Refusals are answered without being asked for, in order; so the last acknowledgement is that of all before it. */
  const send = (): void => {
    const { messages, sent } = batch;
    batch = newBatch();
    const last = messages.at(-1);
    if (last === undefined) return;
    const before = messages.slice(0, -1);
    // A dump ends with a word of its own.
    const acknowledged = before.filter(({ flags }) => (flags & NLM_F.ACK) !== 0);
    pending.get(last.sequence)?.acknowledges.push(...acknowledged.map(({ sequence }) => sequence));
    const asked = [...before.map((one) => ({ ...one, flags: one.flags & ~NLM_F.ACK })), last];
    try {
      if (closed) throw closedError();
      kernel.send(Buffer.concat(asked.map(encodeMessage)));
      sent.resolve();
    } catch (error) {
      for (const { sequence } of messages) pending.delete(sequence);
      sent.reject(error);
    }
  };

  const exchange = async (type: number, flags: number, payload: Buffer, deadline: Deadline) => {
    if (closed) throw closedError();
    deadline.signal.throwIfAborted();
    lastSequence = (lastSequence % 0xffff_ffff) + 1;
    const sequence = lastSequence;
    const answer = newExchange();
    // Whoever gives up leaves it to the answer, which may be that of others, too.
    pending.set(sequence, { exchange: answer, acknowledges: [] });
    const { messages, sent } = batch;
    messages.push({ type, flags: flags | NLM_F.REQUEST, sequence, port: 0, payload });
    if (messages.length === 1) queueMicrotask(send);
    else if (messages.length === BATCH_MESSAGES) send();
    await sent.promise;
    for (readUntil(sequence); pending.has(sequence); readUntil(sequence)) {
      await kernel.readable(deadline);
      if (closed) throw closedError();
    }
    return answer;
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
    kernel[Symbol.dispose]();
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
