import type { Socket } from "node:net";
import type { Deadline } from "../../sys/deadline.ts";
import { reasonOf, TapirError, wrapError } from "../../sys/error.ts";
import { sendDescriptors } from "../../sys/fdpass.ts";
import { Code } from "../../sys/status.ts";
import { createQmpDecoder, encodeCommand, type QmpMessage } from "./codec.ts";
import type { QmpCommandName, QmpCommands } from "./commands.ts";
import type { QmpEvent } from "./events.ts";
import { qmpError } from "./failure.ts";

/** The end of a connected unix socket whose other end QEMU's monitor holds. */
export interface QmpTransport {
  readonly socket: Socket;
  /** The descriptor below `socket`, for SCM_RIGHTS. */
  readonly fd: number;
}

export interface QmpClient {
  /** QEMU's version, "7.2.22". */
  readonly version: string;
  /** Runs one command. Any number may be outstanding. Errors: QEMU's answer (`qmpFailureOf`), the deadline, the loss of QEMU. */
  execute<Name extends QmpCommandName>(
    command: Name,
    parameters: QmpCommands[Name]["arguments"],
    deadline: Deadline,
  ): Promise<QmpCommands[Name]["returns"]>;
  /** The same, with descriptors attached (`getfd` takes one). The caller keeps its own copies. */
  executeWithDescriptors<Name extends QmpCommandName>(
    command: Name,
    parameters: QmpCommands[Name]["arguments"],
    fds: readonly number[],
    deadline: Deadline,
  ): Promise<QmpCommands[Name]["returns"]>;
  /**
   * Watches first, then runs the command, then waits for the first event that `pick` gives a value for. `pick` may throw
   * to say that this event means failure. An event that overtakes the command's answer counts.
   */
  executeAndAwait<Name extends QmpCommandName, T>(
    command: Name,
    parameters: QmpCommands[Name]["arguments"],
    pick: (event: QmpEvent) => T | undefined,
    deadline: Deadline,
  ): Promise<T>;
  /** Calls `listener` for every event until the returned function is called. */
  onEvent(listener: (event: QmpEvent) => void): () => void;
  close(): void;
}

interface Waiting {
  readonly what: string;
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

/**
 * Takes the greeting, accepts it with `qmp_capabilities`, and returns the client. `explainLoss` is asked why QEMU is gone when
 * the stream ends; every outstanding call rejects with its answer.
 */
export async function connectQmp(
  transport: QmpTransport,
  explainLoss: () => Promise<unknown>,
  deadline: Deadline,
): Promise<QmpClient> {
  const { socket, fd } = transport;
  const decoder = createQmpDecoder();
  const commands = new Map<number, Waiting & { command: string }>();
  const watches = new Set<Waiting>();
  const listeners = new Set<(event: QmpEvent) => void>();
  const greeting = Promise.withResolvers<string>();
  let nextId = 0;
  let lost: { readonly cause: unknown } | undefined;
  let losing = false;

  const receive = (message: QmpMessage): void => {
    switch (message.kind) {
      case "greeting":
        greeting.resolve(message.version);
        return;
      case "event":
        for (const listener of [...listeners]) listener(message);
        return;
      case "return":
        // No entry: the caller's deadline passed before the answer came.
        commands.get(message.id)?.resolve(message.value);
        return;
      case "error": {
        const { id, errorClass, description } = message;
        if (id === undefined) throw new Error(`QEMU did not understand: ${errorClass}: ${description}`);
        const waiting = commands.get(id);
        waiting?.reject(qmpError({ command: waiting.command, errorClass, description }));
      }
    }
  };

  const lose = (cause: unknown): void => {
    if (lost !== undefined) return;
    lost = { cause };
    for (const waiting of [...commands.values(), ...watches]) waiting.reject(gone(waiting.what, cause));
    greeting.reject(gone("greeting of QMP", cause));
    socket.destroy();
  };
  const loseExplained = async (): Promise<void> => {
    if (losing) return;
    losing = true;
    lose(await explainLoss().catch((error: unknown) => error));
  };
  greeting.promise.catch(() => undefined);
  socket.on("data", (chunk: Buffer) => {
    try {
      for (const message of decoder.push(chunk)) receive(message);
    } catch (error) {
      lose(error);
    }
  });
  // An error is always followed by close, and QEMU's exit explains it better than ECONNRESET does.
  socket.on("error", () => undefined);
  socket.on("close", () => void loseExplained());

  const send = async <Name extends QmpCommandName>(
    command: Name,
    parameters: QmpCommands[Name]["arguments"],
    fds: readonly number[],
    commandDeadline: Deadline,
  ): Promise<QmpCommands[Name]["returns"]> => {
    const what = `QMP command ${command}`;
    if (lost !== undefined) throw gone(what, lost.cause);
    commandDeadline.signal.throwIfAborted();
    const id = ++nextId;
    const answer = Promise.withResolvers<unknown>();
    commands.set(id, { command, what, resolve: answer.resolve, reject: answer.reject });
    try {
      const line = encodeCommand(id, command, parameters);
      if (fds.length === 0) socket.write(line);
      else await commandDeadline.race(sendAfterQueue(socket, fd, line, fds));
      return await commandDeadline.race(answer.promise);
    } catch (error) {
      if (error !== commandDeadline.signal.reason) throw error;
      throw wrapError(error, { operation: "run", object: what });
    } finally {
      commands.delete(id);
    }
  };

  const client: Omit<QmpClient, "version"> = {
    execute: (command, parameters, commandDeadline) => send(command, parameters, [], commandDeadline),
    executeWithDescriptors: send,
    async executeAndAwait(command, parameters, pick, commandDeadline) {
      const found = Promise.withResolvers<NonNullable<ReturnType<typeof pick>>>();
      found.promise.catch(() => undefined);
      const watch: Waiting = {
        what: `event after QMP command ${command}`,
        resolve: () => undefined,
        reject: found.reject,
      };
      watches.add(watch);
      const unsubscribe = client.onEvent((event) => {
        try {
          const value = pick(event);
          if (value !== undefined && value !== null) found.resolve(value);
        } catch (error) {
          found.reject(error);
        }
      });
      try {
        await send(command, parameters, [], commandDeadline);
        return await commandDeadline.race(found.promise);
      } catch (error) {
        if (error !== commandDeadline.signal.reason) throw error;
        throw wrapError(error, { operation: "see", object: watch.what });
      } finally {
        unsubscribe();
        watches.delete(watch);
      }
    },
    onEvent(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close: () => lose("the connection was closed by Tapir"),
  };

  try {
    const version = await deadline.race(greeting.promise);
    await client.execute("qmp_capabilities", {}, deadline);
    return { ...client, version };
  } catch (error) {
    client.close();
    throw error;
  }
}

/** Descriptors go around Node's write queue: wait until it is empty, or the line would overtake earlier ones. */
async function sendAfterQueue(
  socket: Socket,
  fd: number,
  line: Buffer,
  fds: readonly number[],
): Promise<void> {
  while (socket.writableLength > 0) {
    await new Promise<void>((resolve, reject) => {
      socket.write("", (error) => (error ? reject(error) : resolve()));
    });
  }
  // A closed descriptor's number may already belong to something else.
  if (socket.destroyed) throw gone("passing of descriptors", "the connection to QEMU is closed");
  const sent = sendDescriptors(fd, line, fds);
  if (sent < line.length) socket.write(line.subarray(sent));
}

function gone(what: string, cause: unknown): TapirError {
  return new TapirError({
    code: Code.UNAVAILABLE,
    operation: "finish",
    object: what,
    cause: cause instanceof Error ? cause : reasonOf(cause),
  });
}
