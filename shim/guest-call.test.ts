import { mkdtempSync, rmSync } from "node:fs";
import { constants, createServer, type Http2Session, type ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { deadlineIn } from "../sys/deadline.ts";
import { codeOf } from "../sys/error.ts";
import { Code } from "../sys/status.ts";
import { type Agent, connectAgent } from "./agent-client.ts";

interface Call {
  readonly session: Http2Session;
  readonly stream: ServerHttp2Stream;
  readonly socket: Socket;
}

/** An agent that takes a call and never answers it. */
async function silentAgent(t: ExecutionContext): Promise<{ agent: Agent; called: Promise<Call> }> {
  const directory = mkdtempSync(join(tmpdir(), "guest-call-"));
  const path = join(directory, "agent.sock");
  const server = createServer();
  const sockets: Socket[] = [];
  server.on("connection", (socket: Socket) => sockets.push(socket));
  const called = new Promise<Call>((resolve) => {
    server.on("stream", (stream) => {
      stream.on("error", () => undefined);
      const { session } = stream;
      const socket = sockets.at(-1);
      if (session !== undefined && socket !== undefined) resolve({ session, stream, socket });
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const agent = connectAgent(path);
  t.teardown(() => {
    agent[Symbol.dispose]();
    for (const socket of sockets) socket.destroy();
    server.close();
    rmSync(directory, { recursive: true });
  });
  return { agent, called };
}

const losses: Readonly<Record<string, (call: Call) => void>> = {
  "the socket closes": ({ socket }) => void socket.destroy(),
  "the session ends": ({ session }) => session.destroy(),
  "the session breaks": ({ session }) => session.destroy(undefined, constants.NGHTTP2_CANCEL),
  "the stream is taken back": ({ stream }) => stream.close(constants.NGHTTP2_CANCEL),
};
for (const [name, lose] of Object.entries(losses)) {
  test(`a call whose guest goes is UNAVAILABLE: ${name}`, async (t) => {
    const { agent, called } = await silentAgent(t);
    const version = agent.getVersion(deadlineIn(60_000, "test"));
    lose(await called);
    const error = await t.throwsAsync(version);
    t.is(codeOf(error), Code.UNAVAILABLE, error.message);
  });
}

test("a call that the caller gives up says what the caller says", async (t) => {
  const { agent, called } = await silentAgent(t);
  const caller = new AbortController();
  const version = agent.getVersion(deadlineIn(60_000, "test", caller.signal));
  await called;
  caller.abort(new Error("given up"));
  t.is((await t.throwsAsync(version)).message, "given up");
});
