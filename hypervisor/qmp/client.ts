import type { Socket } from "node:net";
import type { Deadline } from "../../sys/deadline.ts";
import { errnoOf } from "../../sys/error.ts";
import { sendDescriptors } from "../../sys/fdpass.ts";
import { encodeCommand } from "./codec.ts";
import type { QmpCommandName, QmpCommands } from "./commands.ts";
import type { QmpEvent } from "./events.ts";
import { answerBy, createQmpSession, type QmpSession, type Watch } from "./session.ts";

/** The end of a connected unix socket whose other end QEMU's monitor holds. */
export interface QmpTransport {
  readonly socket: Socket;
  /** The descriptor below `socket`, for SCM_RIGHTS. */
  readonly fd: number;
}

type Arguments<Name extends QmpCommandName> = QmpCommands[Name]["arguments"];
type Returns<Name extends QmpCommandName> = QmpCommands[Name]["returns"];

export interface QmpClient {
  /** QEMU's version, "7.2.22". */
  readonly version: string;
  /**
   * Runs one command; any number may be outstanding. `fds` go along with it (`getfd` takes one); the caller keeps its copies.
   * Errors: QEMU's answer (`qmpFailureOf`), the deadline, the loss of QEMU.
   */
  execute<Name extends QmpCommandName>(
    command: Name,
    parameters: Arguments<Name>,
    deadline: Deadline,
    fds?: readonly number[],
  ): Promise<Returns<Name>>;
  /**
   * Watches first, then runs the command, then waits for the first event that `pick` gives a value for. `pick` may throw
   * to say that this event means failure. An event that overtakes the command's answer counts.
   */
  executeAndAwait<Name extends QmpCommandName, T>(
    command: Name,
    parameters: Arguments<Name>,
    pick: (event: QmpEvent) => T | undefined,
    deadline: Deadline,
  ): Promise<T>;
  /** Watches for the first event that `pick` gives a value for, from now until `end`. */
  watch<T>(what: string, pick: (event: QmpEvent) => T | undefined): Watch<T>;
  /** Calls `listener` for every event until the returned function is called. */
  onEvent(listener: (event: QmpEvent) => void): () => void;
  close(): void;
}

/** Asked why QEMU is gone when the stream ends; every outstanding call rejects with its answer. */
export type ExplainLoss = () => Promise<unknown>;

/** Takes the greeting, accepts it with `qmp_capabilities`, and returns the client. */
export async function connectQmp(
  transport: QmpTransport,
  explainLoss: ExplainLoss,
  deadline: Deadline,
): Promise<QmpClient> {
  const session = openSession(transport, explainLoss);
  const client = clientOf(transport, session);
  try {
    const version = await answerBy(session.greeting, "the greeting of QMP", deadline);
    await client.execute("qmp_capabilities", {}, deadline);
    return { ...client, version };
  } catch (error) {
    client.close();
    throw error;
  }
}

/** The client of a monitor that somebody else has greeted, and has no questions open to. */
export function resumeQmp(transport: QmpTransport, explainLoss: ExplainLoss, version: string): QmpClient {
  return { ...clientOf(transport, openSession(transport, explainLoss)), version };
}

function openSession({ socket }: QmpTransport, explainLoss: ExplainLoss): QmpSession {
  const session = createQmpSession(() => socket.destroy());
  socket.on("data", (chunk: Buffer) => session.receive(chunk));
  // An error is always followed by close, and QEMU's exit explains it better than ECONNRESET does.
  socket.on("error", () => undefined);
  socket.on("close", () => void explainLoss().then(session.lose, session.lose));
  return session;
}

function clientOf(transport: QmpTransport, session: QmpSession): Omit<QmpClient, "version"> {
  const execute: QmpClient["execute"] = async (command, parameters, deadline, fds = []) => {
    const { id, answer, forget } = session.begin(command);
    try {
      deadline.signal.throwIfAborted();
      const line = encodeCommand(id, command, parameters);
      const sending =
        fds.length === 0 ? void transport.socket.write(line) : sendAfterQueue(transport, line, fds);
      await deadline.race(Promise.resolve(sending));
      return await answerBy(answer, `QMP command ${command}`, deadline);
    } finally {
      forget();
    }
  };
  return {
    execute,
    async executeAndAwait(command, parameters, pick, deadline) {
      const what = `event after QMP command ${command}`;
      const watch = session.watch(what, pick);
      try {
        await execute(command, parameters, deadline);
        return await answerBy(watch.found, what, deadline);
      } finally {
        watch.end();
      }
    },
    watch: session.watch,
    onEvent: session.onEvent,
    close: () => session.lose("Tapir closed the connection"),
  };
}

/** Descriptors go around Node's write queue: wait until it is empty, or the line would overtake earlier ones. */
async function sendAfterQueue(transport: QmpTransport, line: Buffer, fds: readonly number[]): Promise<void> {
  const { socket, fd } = transport;
  while (socket.writableLength > 0 && !socket.destroyed) {
    // The callback comes when everything before it is written, or the socket is gone.
    await new Promise<void>((resolve) => socket.write("", () => resolve()));
  }
  // A closed descriptor's number may already belong to something else. The answer tells why QEMU is gone.
  if (socket.destroyed) return;
  const sent = sendUnlessGone(fd, line, fds);
  if (sent < line.length) socket.write(line.subarray(sent));
}

/** A pipe that broke is no news: the connection's end, which comes behind it, is explained by that of QEMU. */
function sendUnlessGone(fd: number, line: Buffer, fds: readonly number[]): number {
  try {
    return sendDescriptors(fd, line, fds);
  } catch (error) {
    if (errnoOf(error) === "EPIPE" || errnoOf(error) === "ECONNRESET") return line.length;
    throw error;
  }
}
