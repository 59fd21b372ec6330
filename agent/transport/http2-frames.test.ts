import test from "ava";
import { followFrames, startsWithPreface } from "./http2-frames.ts";

const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const frame = (length: number, type = 0, stream = 1): Buffer => {
  const bytes = Buffer.alloc(9 + length, 0x50);
  bytes.writeUIntBE(length, 0, 3);
  bytes.writeUInt8(type, 3);
  bytes.writeUInt8(1, 4);
  bytes.writeUInt32BE(stream, 5);
  return bytes;
};

test("a preface is recognised at the start only, and whole", (t) => {
  t.true(startsWithPreface(Buffer.concat([preface, frame(0)])));
  t.false(startsWithPreface(preface.subarray(0, 23)));
  t.false(startsWithPreface(Buffer.concat([frame(0), preface])));
});

test("boundaries and headers are found however the bytes are cut", (t) => {
  const frames = [frame(0, 4, 0), frame(1, 1, 7), frame(70_000, 0, 7), frame(9, 3, 0x7fff_ffff)];
  const bytes = Buffer.concat([preface, ...frames]);
  const ends = new Set([24, 33, 43, 43 + 70_009, bytes.length]);
  for (const step of [1, 2, 3, 8, 9, 10, 24, 4096, bytes.length]) {
    const follower = followFrames("client");
    const headers = [];
    for (let at = 0; at < bytes.length; at += step) {
      const chunk = bytes.subarray(at, at + step);
      headers.push(...follower.pass(chunk));
      t.is(follower.atBoundary, ends.has(at + chunk.length), `step ${step} at ${at}`);
    }
    t.deepEqual(headers, [
      { type: 4, flags: 1, stream: 0 },
      { type: 1, flags: 1, stream: 7 },
      { type: 0, flags: 1, stream: 7 },
      { type: 3, flags: 1, stream: 0x7fff_ffff },
    ]);
  }
});

test("before the preface there is no boundary; a server has none to wait for", (t) => {
  t.false(followFrames("client").atBoundary);
  t.true(followFrames("server").atBoundary);
});
