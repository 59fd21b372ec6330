import type { Deadline } from "../../sys/deadline.ts";
import { TapirError, wrapError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import { createQmpDecoder, type QmpMessage } from "./codec.ts";
import type { QmpEvent } from "./events.ts";
import { qmpError } from "./failure.ts";

/** Who waits for what on one QMP stream. Knows neither sockets nor processes: bytes come in, promises settle. */
export interface QmpSession {
  /** Resolves with QEMU's version, "7.2.22". */
  readonly greeting: Promise<string>;
  receive(chunk: Uint8Array): void;
  /** A new command id and its `answer`; `forget` it when nobody waits for that any more: a late answer is dropped then. */
  begin(command: string): { readonly id: number; readonly answer: Promise<unknown>; forget(): void };
  onEvent(listener: (event: QmpEvent) => void): () => void;
  /** Resolves with the first event that `pick` gives a value for. */
  watch<T>(what: string, pick: (event: QmpEvent) => T | undefined): Watch<T>;
  /** Rejects everything that waits now or later. Only the first cause counts. */
  lose(cause: unknown): void;
}

export interface Watch<T> {
  readonly found: Promise<T>;
  end(): void;
}

interface Waiting {
  readonly what: string;
  reject(error: unknown): void;
}
interface Outstanding extends Waiting {
  readonly command: string;
  resolve(value: unknown): void;
}

export function createQmpSession(onLost: () => void): QmpSession {
  const decoder = createQmpDecoder();
  const commands = new Map<number, Outstanding>();
  const watches = new Set<Waiting>();
  const listeners = new Set<(event: QmpEvent) => void>();
  const greeting = Promise.withResolvers<string>();
  greeting.promise.catch(() => undefined);
  let nextId = 0;
  let lost: { readonly cause: unknown } | undefined;

  const dispatch = (message: QmpMessage): void => {
    switch (message.kind) {
      case "greeting":
        greeting.resolve(message.version);
        return;
      case "event":
        for (const listener of [...listeners]) listener(message);
        return;
      case "return":
        commands.get(message.id)?.resolve(message.value);
        return;
      case "error": {
        const { id, errorClass, description } = message;
        if (id === undefined) throw misunderstood(`${errorClass}: ${description}`);
        const outstanding = commands.get(id);
        outstanding?.reject(qmpError({ command: outstanding.command, errorClass, description }));
      }
    }
  };
  const session: QmpSession = {
    greeting: greeting.promise,
    receive(chunk) {
      if (lost !== undefined) return;
      try {
        for (const message of decoder.push(chunk)) dispatch(message);
      } catch (error) {
        session.lose(error);
      }
    },
    begin(command) {
      const what = `QMP command ${command}`;
      if (lost !== undefined) throw gone(what, lost.cause);
      const id = ++nextId;
      const { promise, resolve, reject } = Promise.withResolvers<unknown>();
      promise.catch(() => undefined);
      commands.set(id, { command, what, resolve, reject });
      return { id, answer: promise, forget: () => commands.delete(id) };
    },
    onEvent(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    watch<T>(what: string, pick: (event: QmpEvent) => T | undefined) {
      const { promise, resolve, reject } = Promise.withResolvers<T>();
      promise.catch(() => undefined);
      const waiting = { what, reject };
      watches.add(waiting);
      const unsubscribe = session.onEvent((event) => {
        try {
          const value = pick(event);
          if (value !== undefined) resolve(value);
        } catch (error) {
          reject(error);
        }
      });
      const end = (): void => {
        unsubscribe();
        watches.delete(waiting);
      };
      return { found: promise, end };
    },
    lose(cause) {
      if (lost !== undefined) return;
      lost = { cause };
      for (const waiting of [...commands.values(), ...watches]) waiting.reject(gone(waiting.what, cause));
      greeting.reject(gone("the greeting of QMP", cause));
      onLost();
    },
  };
  return session;
}

/** `promise`, or an error that names what was waited for when the deadline passes. */
export async function answerBy<T>(promise: Promise<T>, what: string, deadline: Deadline): Promise<T> {
  try {
    return await deadline.race(promise);
  } catch (error) {
    if (error !== deadline.signal.reason) throw error;
    throw wrapError(error, { operation: "wait for", object: what });
  }
}

function gone(what: string, cause: unknown): TapirError {
  return new TapirError({ code: Code.UNAVAILABLE, operation: "wait for", object: what, cause });
}

function misunderstood(cause: string): TapirError {
  return new TapirError({
    code: Code.INTERNAL,
    operation: "make QEMU understand",
    object: "QMP command",
    cause,
  });
}
