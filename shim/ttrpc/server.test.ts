import { mkdtempSync, rmSync } from "node:fs";
import { createConnection, createServer as createNetServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { type Client, connect } from "./client.ts";
import {
  createDecoder,
  encodeFrame,
  FrameFlag,
  FrameType,
  HEADER_BYTES,
  MAX_PAYLOAD_BYTES,
} from "./frame.ts";
import { decodeResponse, encodeRequest, type Response } from "./message.ts";
import { createServer, type Handler, type Server } from "./server.ts";
import { StatusCode, TtrpcError } from "./status.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

async function listen(
  t: ExecutionContext,
  methods: Record<string, Handler>,
): Promise<{ path: string; server: Server; idle: Promise<void> }> {
  const directory = mkdtempSync(join(tmpdir(), "ttrpc-"));
  const path = join(directory, "s");
  const idle = Promise.withResolvers<void>();
  const server = createServer({ services: { "test.Echo": methods }, onIdle: idle.resolve });
  const listener = createNetServer((socket) => server.accept(socket));
  await new Promise<void>((resolve) => listener.listen(path, resolve));
  t.teardown(async () => {
    await server.close();
    listener.close();
    rmSync(directory, { recursive: true });
  });
  return { path, server, idle: idle.promise };
}

async function dial(t: ExecutionContext, path: string): Promise<Client> {
  const client = await connect(path, 1000);
  t.teardown(() => client.close());
  return client;
}

const echo: Handler = async (payload) => payload;
const hang: Handler = () => new Promise(() => undefined);

/** A raw connection: sends bytes, collects responses by stream id. */
async function rawConnection(
  t: ExecutionContext,
  path: string,
): Promise<{ socket: Socket; response(): Promise<{ streamId: number } & Response> }> {
  const socket = createConnection(path);
  const frames = createDecoder();
  const arrived: ({ streamId: number } & Response)[] = [];
  let wake = (): void => undefined;
  socket.on("data", (chunk: Buffer) => {
    for (const one of frames.push(chunk)) {
      if (one.kind === "frame")
        arrived.push({ streamId: one.header.streamId, ...decodeResponse(one.payload) });
    }
    wake();
  });
  await new Promise<void>((resolve) => socket.once("connect", () => resolve()));
  t.teardown(() => socket.destroy());
  return {
    socket,
    async response() {
      while (arrived.length === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      const first = arrived.shift();
      if (first === undefined) throw new Error("nothing arrived");
      return first;
    },
  };
}

function request(method: string, payload = ""): Uint8Array {
  const bytes = encoder.encode(payload);
  return encodeRequest({ service: "test.Echo", method, payload: bytes, timeoutNano: 0n, metadata: [] });
}

test("calls run side by side and answer out of order", async (t) => {
  const first = Promise.withResolvers<Uint8Array>();
  const { path } = await listen(t, { Slow: () => first.promise, Echo: echo });
  const client = await dial(t, path);
  const slow = client.call("test.Echo", "Slow", new Uint8Array(0), { timeoutMs: 2000 });
  const answer = await client.call("test.Echo", "Echo", encoder.encode("hi"), { timeoutMs: 2000 });
  t.is(decoder.decode(answer), "hi");
  first.resolve(encoder.encode("late"));
  t.is(decoder.decode(await slow), "late");
});

test("megabytes pass both ways; over the limit is an error of that call alone", async (t) => {
  const { path } = await listen(t, { Echo: echo, Big: async () => new Uint8Array(MAX_PAYLOAD_BYTES) });
  const client = await dial(t, path);
  const payload = new Uint8Array(4_000_000).fill(7);
  t.is((await client.call("test.Echo", "Echo", payload, { timeoutMs: 5000 })).length, payload.length);
  await t.throwsAsync(client.call("test.Echo", "Big", new Uint8Array(0), { timeoutMs: 5000 }), {
    message: /response of \d+ bytes is over the limit/,
  });
  await t.throwsAsync(
    client.call("test.Echo", "Echo", new Uint8Array(MAX_PAYLOAD_BYTES), { timeoutMs: 5000 }),
    {
      message: /request of \d+ bytes is over the limit/,
    },
  );
  t.is((await client.call("test.Echo", "Echo", new Uint8Array(3), { timeoutMs: 5000 })).length, 3);
});

test("what is not there is UNIMPLEMENTED with its name, names of Object included", async (t) => {
  const { path } = await listen(t, { Echo: echo });
  const client = await dial(t, path);
  const call = (service: string, method: string) =>
    client.call(service, method, new Uint8Array(0), { timeoutMs: 1000 });
  for (const [service, method] of [
    ["test.Echo", "Pause"],
    ["x.Y", "Z"],
    ["test.Echo", "toString"],
    ["constructor", "name"],
  ]) {
    const error = await t.throwsAsync(call(service ?? "", method ?? ""), { instanceOf: TtrpcError });
    t.is(error?.code, StatusCode.UNIMPLEMENTED);
    t.regex(error?.message ?? "", new RegExp(service === "test.Echo" ? (method ?? "") : (service ?? "")));
  }
});

test("a handler's status and its plain errors reach the caller", async (t) => {
  const { path } = await listen(t, {
    Gone: async () => {
      throw new TtrpcError(5, "no such pod");
    },
    Broken: () => {
      throw new Error("oops");
    },
  });
  const client = await dial(t, path);
  const gone = await t.throwsAsync(client.call("test.Echo", "Gone", new Uint8Array(0), { timeoutMs: 1000 }));
  t.like(gone, { code: 5, message: "no such pod" });
  const broken = await t.throwsAsync(
    client.call("test.Echo", "Broken", new Uint8Array(0), { timeoutMs: 1000 }),
  );
  t.like(broken, { code: 2, message: "oops" });
});

test("the caller's time limit reaches the handler as a signal, and is answered", async (t) => {
  const aborted = Promise.withResolvers<number | undefined>();
  const { path } = await listen(t, {
    Hang: (_payload, call) => {
      call.signal.addEventListener("abort", () => aborted.resolve(call.timeoutMs));
      return new Promise(() => undefined);
    },
  });
  const { socket, response } = await rawConnection(t, path);
  const message = encodeRequest({
    service: "test.Echo",
    method: "Hang",
    payload: new Uint8Array(0),
    timeoutNano: 20_000_000n,
    metadata: [],
  });
  socket.write(encodeFrame(1, FrameType.REQUEST, message));
  t.is(await aborted.promise, 20);
  t.is((await response()).status.code, StatusCode.DEADLINE_EXCEEDED);
});

test("a lost connection aborts its calls and rejects the client's", async (t) => {
  const aborted = Promise.withResolvers<void>();
  const { path, idle } = await listen(t, {
    Hang: (_payload, call) => {
      call.signal.addEventListener("abort", () => aborted.resolve());
      return new Promise(() => undefined);
    },
  });
  const client = await dial(t, path);
  const call = client.call("test.Echo", "Hang", new Uint8Array(0), { timeoutMs: 5000 });
  setTimeout(() => client.close(), 20);
  const error = await t.throwsAsync(call, { instanceOf: TtrpcError });
  t.is(error?.code, StatusCode.UNAVAILABLE);
  await aborted.promise;
  await client.closed;
  await idle;
});

test("a call that is given up leaves the connection usable", async (t) => {
  const { path } = await listen(t, { Hang: hang, Echo: echo });
  const client = await dial(t, path);
  const controller = new AbortController();
  const call = client.call("test.Echo", "Hang", new Uint8Array(0), {
    timeoutMs: 5000,
    signal: controller.signal,
  });
  controller.abort();
  t.is((await t.throwsAsync(call, { instanceOf: TtrpcError }))?.code, StatusCode.CANCELLED);
  const late = client.call("test.Echo", "Hang", new Uint8Array(0), { timeoutMs: 10 });
  t.is((await t.throwsAsync(late, { instanceOf: TtrpcError }))?.code, StatusCode.DEADLINE_EXCEEDED);
  t.is((await client.call("test.Echo", "Echo", new Uint8Array(2), { timeoutMs: 1000 })).length, 2);
});

test("even, used, oversize, streaming and undecodable requests are refused on their stream", async (t) => {
  const { path } = await listen(t, { Echo: echo });
  const { socket, response } = await rawConnection(t, path);
  socket.write(encodeFrame(2, FrameType.REQUEST, request("Echo")));
  t.like(await response(), { streamId: 2, status: { code: StatusCode.INVALID_ARGUMENT } });

  socket.write(encodeFrame(3, FrameType.REQUEST, request("Echo", "a")));
  t.like(await response(), { streamId: 3, status: { code: StatusCode.OK } });
  socket.write(encodeFrame(3, FrameType.REQUEST, request("Echo", "a")));
  t.like(await response(), { streamId: 3, status: { code: StatusCode.INVALID_ARGUMENT } });

  const oversize = Buffer.alloc(HEADER_BYTES + MAX_PAYLOAD_BYTES + 1);
  oversize.writeUInt32BE(MAX_PAYLOAD_BYTES + 1, 0);
  oversize.writeUInt32BE(5, 4);
  oversize.writeUInt8(FrameType.REQUEST, 8);
  socket.write(oversize);
  t.like(await response(), { streamId: 5, status: { code: StatusCode.RESOURCE_EXHAUSTED } });

  socket.write(encodeFrame(7, FrameType.REQUEST, request("Echo"), FrameFlag.REMOTE_OPEN));
  t.like(await response(), { streamId: 7, status: { code: StatusCode.UNIMPLEMENTED } });
  socket.write(encodeFrame(9, FrameType.REQUEST, Buffer.from("0aff", "hex")));
  t.like(await response(), { streamId: 9, status: { code: StatusCode.INVALID_ARGUMENT } });

  socket.write(encodeFrame(11, FrameType.DATA, Buffer.from("x")));
  socket.write(encodeFrame(13, 77, Buffer.from("x")));
  socket.write(encodeFrame(15, FrameType.REQUEST, request("Echo", "still here")));
  t.is(decoder.decode((await response()).payload), "still here");
});

test("garbage on a connection neither crashes the server nor disturbs another connection", async (t) => {
  const { path } = await listen(t, { Echo: echo });
  const client = await dial(t, path);
  for (let round = 0; round < 30; round++) {
    const socket = createConnection(path);
    socket.on("error", () => undefined);
    socket.write(Buffer.from(Array.from({ length: 500 }, (_, index) => (index * 131 + round * 17) % 256)));
    if (round % 2 === 0) socket.destroySoon();
    else socket.once("connect", () => socket.destroy());
  }
  t.is((await client.call("test.Echo", "Echo", new Uint8Array(9), { timeoutMs: 1000 })).length, 9);
});

test("close lets an answer that was given out first", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "ttrpc-"));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const server = createServer({
    services: {
      "test.Echo": {
        Bye: async (payload) => {
          setImmediate(() => void server.close());
          return payload;
        },
      },
    },
  });
  const listener = createNetServer((socket) => server.accept(socket));
  await new Promise<void>((resolve) => listener.listen(join(directory, "s"), resolve));
  t.teardown(() => listener.close());
  const client = await dial(t, join(directory, "s"));
  t.is((await client.call("test.Echo", "Bye", new Uint8Array(1 << 20), { timeoutMs: 1000 })).length, 1 << 20);
  await client.closed;
});
