import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { type Client, connect } from "./client.ts";
import { createDecoder, encodeFrame, FrameType } from "./frame.ts";
import { encodeResponse } from "./message.ts";
import { StatusCode, TtrpcError } from "./status.ts";

/** A peer that gets every request frame and the raw socket to misbehave on. */
async function peer(
  t: ExecutionContext,
  onRequest: (socket: Socket, streamId: number) => void,
): Promise<Client> {
  const directory = mkdtempSync(join(tmpdir(), "ttrpc-"));
  const listener = createServer((socket) => {
    const frames = createDecoder();
    socket.on("error", () => undefined);
    socket.on("data", (chunk: Buffer) => {
      for (const one of frames.push(chunk)) onRequest(socket, one.header.streamId);
    });
  });
  await new Promise<void>((resolve) => listener.listen(join(directory, "s"), resolve));
  const client = await connect(join(directory, "s"), 1000);
  t.teardown(() => {
    client.close();
    listener.close();
    rmSync(directory, { recursive: true });
  });
  return client;
}

const nothing = new Uint8Array(0);
const ok = (payload: Uint8Array): Uint8Array => encodeResponse({ status: { code: 0, message: "" }, payload });

test("stream ids are odd and grow", async (t) => {
  const seen: number[] = [];
  const client = await peer(t, (socket, streamId) => {
    seen.push(streamId);
    socket.write(encodeFrame(streamId, FrameType.RESPONSE, ok(nothing)));
  });
  for (let call = 0; call < 3; call++) await client.call("s", "m", nothing, { timeoutMs: 1000 });
  t.deepEqual(seen, [1, 3, 5]);
});

test("answers to unknown streams, data frames and unknown types are ignored", async (t) => {
  const client = await peer(t, (socket, streamId) => {
    socket.write(encodeFrame(streamId + 100, FrameType.RESPONSE, ok(nothing)));
    socket.write(encodeFrame(streamId, FrameType.DATA, Buffer.from("x")));
    socket.write(encodeFrame(streamId, 99, Buffer.from("x")));
    socket.write(encodeFrame(streamId, FrameType.RESPONSE, ok(Buffer.from("real"))));
  });
  t.is(Buffer.from(await client.call("s", "m", nothing, { timeoutMs: 1000 })).toString(), "real");
});

test("an undecodable and an oversize answer fail their call only", async (t) => {
  const oversize = Buffer.alloc(10 + (4 << 20) + 1);
  oversize.writeUInt32BE((4 << 20) + 1, 0);
  oversize.writeUInt8(FrameType.RESPONSE, 8);
  const client = await peer(t, (socket, streamId) => {
    if (streamId === 1) socket.write(encodeFrame(1, FrameType.RESPONSE, Buffer.from("0aff", "hex")));
    if (streamId === 3) {
      oversize.writeUInt32BE(3, 4);
      socket.write(oversize);
    }
    if (streamId === 5) socket.write(encodeFrame(5, FrameType.RESPONSE, ok(nothing)));
  });
  const call = () => client.call("s", "m", nothing, { timeoutMs: 2000 });
  t.is((await t.throwsAsync(call(), { instanceOf: TtrpcError }))?.code, StatusCode.UNKNOWN);
  t.is((await t.throwsAsync(call(), { instanceOf: TtrpcError }))?.code, StatusCode.RESOURCE_EXHAUSTED);
  t.is((await call()).length, 0);
});

test("a peer that hangs up rejects every call, also later ones", async (t) => {
  const client = await peer(t, (socket) => socket.destroy());
  const calls = [1, 2, 3].map(() => client.call("s", "m", nothing, { timeoutMs: 2000 }));
  for (const call of calls) {
    t.is((await t.throwsAsync(call, { instanceOf: TtrpcError }))?.code, StatusCode.UNAVAILABLE);
  }
  await client.closed;
  await t.throwsAsync(client.call("s", "m", nothing, { timeoutMs: 10 }), { message: /connection is closed/ });
});

test("no socket, and a socket without a listener, are the system's errors", async (t) => {
  await t.throwsAsync(connect("/nonexistent/socket", 1000), { code: "ENOENT" });
});
