import type { Socket } from "node:net";
import { socketOf, socketPair } from "../../sys/fdpass.ts";

export interface FakeCommand {
  readonly execute: string;
  readonly arguments: Readonly<Record<string, unknown>>;
  readonly id: number;
}

/** What QEMU would say to a command: its answer, or nothing (yet). */
export type FakeReply =
  | { readonly return: unknown }
  | { readonly error: readonly [string, string] }
  | undefined;

/** A QMP monitor over a real socket pair. Strict: what QEMU would not accept fails the test that reads `faults`. */
export interface FakeQmp {
  readonly transport: { readonly socket: Socket; readonly fd: number };
  /** Commands as they came, `qmp_capabilities` left out. */
  readonly commands: FakeCommand[];
  readonly faults: string[];
  answer(command: FakeCommand, reply: FakeReply): void;
  emit(event: string, data?: object): void;
  /** Bytes as they are. */
  raw(text: string): void;
  hangUp(): void;
}

const GREETING = {
  QMP: { version: { qemu: { micro: 22, minor: 2, major: 7 }, package: "fake" }, capabilities: ["oob"] },
};

export function fakeQmp(
  handler: (command: FakeCommand, qmp: FakeQmp) => FakeReply = () => ({ return: {} }),
  options: { readonly silent?: boolean } = {},
): FakeQmp {
  const { ours, theirs } = socketPair();
  const peer = socketOf(theirs);
  const send = (message: object): void => void peer.write(`${JSON.stringify(message)}\r\n`);
  let negotiated = false;
  let buffered = "";
  const qmp: FakeQmp = {
    transport: { socket: socketOf(ours), fd: ours },
    commands: [],
    faults: [],
    answer({ id }, reply) {
      if (reply === undefined) return;
      if ("return" in reply) send({ return: reply.return, id });
      else send({ error: { class: reply.error[0], desc: reply.error[1] }, id });
    },
    emit: (event, data = {}) => send({ timestamp: { seconds: 1, microseconds: 2 }, event, data }),
    raw: (text) => void peer.write(text),
    hangUp: () => void peer.destroy(),
  };
  const take = (line: string): void => {
    const command = JSON.parse(line) as FakeCommand;
    const unknown = Object.keys(command).filter((key) => !["execute", "arguments", "id"].includes(key));
    if (unknown.length > 0) qmp.faults.push(`QMP input member '${unknown[0]}' is unexpected`);
    if (command.id === undefined) qmp.faults.push(`${command.execute} came without an id`);
    if (command.execute === "qmp_capabilities") {
      if (negotiated) qmp.faults.push("capabilities were negotiated twice");
      negotiated = true;
      qmp.answer(command, { return: {} });
      return;
    }
    if (!negotiated) qmp.faults.push(`${command.execute} came before qmp_capabilities`);
    qmp.commands.push(command);
    qmp.answer(command, handler(command, qmp));
  };
  peer.on("error", () => undefined);
  peer.on("data", (chunk: Buffer) => {
    const lines = `${buffered}${chunk.toString("utf8")}`.split("\n");
    buffered = lines.pop() ?? "";
    for (const line of lines) take(line);
  });
  if (options.silent !== true) send(GREETING);
  return qmp;
}
