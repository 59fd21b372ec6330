import { randomBytes } from "node:crypto";
import test from "ava";
import { StdioRequest, StdioResponse } from "./gen/tapir/agent/v1/container.ts";
import { CHUNK_BYTES, decodeRequest, decodeResponse, encodeRequest, responseEncoder } from "./stdio-codec.ts";

const LENGTHS = [0, 1, 127, 128, 16_383, 16_384, CHUNK_BYTES];
const noise = (length: number): Buffer => randomBytes(length);

test("on the wire it is what the generated code makes of it, and both read each other", (t) => {
  const encodeResponse = responseEncoder();
  for (const length of LENGTHS) {
    const bytes = noise(length);
    const request = { containerId: "", execId: "", stdin: bytes };
    t.deepEqual(StdioRequest.decode(encodeRequest(request)), request, `${length}`);
    t.deepEqual(decodeRequest(Buffer.from(StdioRequest.encode(request).finish())), request);
    for (const response of [
      StdioResponse.fromPartial({ stdout: bytes }),
      StdioResponse.fromPartial({ stderr: bytes }),
    ]) {
      const encoded = Buffer.from(StdioResponse.encode(response).finish());
      t.deepEqual(encodeResponse(response), encoded);
      t.deepEqual(decodeResponse(encoded), response);
    }
  }
});

test("what carries no bytes, or more than bytes", (t) => {
  const encodeResponse = responseEncoder();
  for (const told of [
    { stdoutEnd: true },
    { stderrEnd: true },
    { drained: true },
    { stdinClosed: true },
    {},
  ]) {
    const response = StdioResponse.fromPartial(told);
    t.deepEqual(decodeResponse(encodeResponse(response)), response);
  }
  const first = { containerId: "c", execId: "e", stdin: noise(5) };
  t.deepEqual(decodeRequest(encodeRequest(first)), first);
});

test("what is not in its shortest form, or cut, is left to the generated code", (t) => {
  const twice = Buffer.from([26, 1, 65, 26, 1, 66]);
  t.deepEqual(decodeRequest(twice), StdioRequest.decode(twice));
  const long = Buffer.from([26, 0x81, 0x00, 65]);
  t.is(decodeRequest(long).stdin.toString(), "A");
  for (const cut of [[26], [26, 5, 65], [26, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]]) {
    t.throws(() => decodeRequest(Buffer.from(cut)));
  }
});
