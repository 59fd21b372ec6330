import { Duplex } from "node:stream";
import { setImmediate as turn } from "node:timers/promises";
import test from "ava";
import type { StdioRequest } from "../../proto/gen/tapir/agent/v1/container.ts";
import { Code } from "../../sys/status.ts";
import { yesGuest } from "../../test/fakes/guest.ts";
import type { StdioStream } from "../containers-client.ts";
import type { Input } from "./input.ts";
import type { Output } from "./output.ts";
import { startPump } from "./pump.ts";

const KEY = { containerId: "web", execId: "e" };
const NOTHING: Input = { async *chunks() {}, allowEnd: () => undefined, close: () => undefined };

/** The guest's end of one connection: what the host has sent there, and what it is told. */
function fakeStream(takes: boolean) {
  const sent: string[] = [];
  const duplex = new Duplex({
    objectMode: true,
    read: () => undefined,
    write({ containerId, stdin }: StdioRequest, _encoding, done) {
      if (containerId === "") sent.push(stdin.toString());
      // The first message says what the stream is for.
      if (takes || containerId !== "") done();
    },
  });
  const breakOff = (code: Code) => duplex.destroy(Object.assign(new Error(`code ${code}`), { code }));
  const cancel = () => breakOff(Code.CANCELLED);
  return { stream: Object.assign(duplex, { cancel }) as unknown as StdioStream, duplex, sent, breakOff };
}

/** A pump between a guest that is connected to again and again, and streams that keep what comes. */
function fakePump(
  stdin: Input | undefined = undefined,
  takesInput: (connection: number) => boolean = () => true,
) {
  const connections: ReturnType<typeof fakeStream>[] = [];
  const written: string[] = [];
  const warnings: string[] = [];
  const stdout: Output = {
    write: async (bytes) => void written.push(String(bytes)),
    close: async () => undefined,
  };
  const { containers } = yesGuest({
    async stdio() {
      const next = fakeStream(takesInput(connections.length));
      connections.push(next);
      return next.stream;
    },
  });
  const streams = { stdin, stdout, stderr: undefined, close: async () => stdin?.close() };
  const pump = startPump(containers, KEY, streams, { warn: (text) => void warnings.push(text) });
  const connected = async (count: number) => {
    while (connections.length < count) await turn();
    return connections[count - 1] as ReturnType<typeof fakeStream>;
  };
  return { pump, connected, connections, written, warnings };
}

for (const [name, code] of Object.entries({ UNAVAILABLE: Code.UNAVAILABLE, CANCELLED: Code.CANCELLED })) {
  test(`a session that breaks is connected anew: ${name}`, async (t) => {
    const { pump, connected, connections, written, warnings } = fakePump();
    (await connected(1)).duplex.push({ stdout: Buffer.from("one") });
    while (written.length < 1) await turn();
    connections[0]?.breakOff(code);
    const second = await connected(2);
    second.duplex.push({ stdout: Buffer.from("two") });
    second.duplex.push({ drained: true });
    await pump.drained;
    t.deepEqual(written, ["one", "two"]);
    t.deepEqual(warnings, ["the streams of a process were connected anew: what was on its way may be lost"]);
    await pump.close();
    t.is(connections.length, 2);
  });
}

test("what the guest refuses is not tried again, and said", async (t) => {
  const { pump, connected, connections, warnings } = fakePump();
  (await connected(1)).breakOff(Code.NOT_FOUND);
  await pump.drained;
  await pump.close();
  t.is(connections.length, 1);
  t.deepEqual(warnings, ["the streams of a process have ended before it"]);
});

test("input that a broken session does not take is not what all later input waits for", async (t) => {
  const rest = Promise.withResolvers<void>();
  const stdin: Input = {
    ...NOTHING,
    async *chunks() {
      yield Buffer.from("lost");
      yield Buffer.from("arrives");
      await rest.promise;
    },
  };
  const { pump, connected } = fakePump(stdin, (connection) => connection > 0);
  const first = await connected(1);
  while (first.sent.length < 1) await turn();
  first.breakOff(Code.UNAVAILABLE);
  const second = await connected(2);
  while (second.sent.length < 1) await turn();
  t.deepEqual([first.sent, second.sent], [["lost"], ["arrives"]]);
  rest.resolve();
  await pump.close();
});
