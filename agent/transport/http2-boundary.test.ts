import test from "ava";
import { followFrames, startsWithPreface } from "./http2-boundary.ts";

const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const frame = (length: number): Buffer => {
  const bytes = Buffer.alloc(9 + length, 0x50);
  bytes.writeUIntBE(length, 0, 3);
  return bytes;
};

test("a preface is recognised at the start only, and whole", (t) => {
  t.true(startsWithPreface(Buffer.concat([preface, frame(0)])));
  t.false(startsWithPreface(preface.subarray(0, 23)));
  t.false(startsWithPreface(Buffer.concat([frame(0), preface])));
});

test("boundaries are found however the bytes are cut", (t) => {
  const bytes = Buffer.concat([preface, frame(0), frame(1), frame(70_000), frame(9)]);
  const ends = new Set([24, 33, 43, 43 + 70_009, bytes.length]);
  for (const step of [1, 2, 3, 8, 9, 10, 24, 4096, bytes.length]) {
    const frames = followFrames();
    for (let at = 0; at < bytes.length; at += step) {
      const chunk = bytes.subarray(at, at + step);
      frames.pass(chunk);
      t.is(frames.reached, ends.has(at + chunk.length), `step ${step} at ${at}`);
    }
  }
});

test("nothing seen yet is no boundary", (t) => {
  t.false(followFrames().reached);
});
