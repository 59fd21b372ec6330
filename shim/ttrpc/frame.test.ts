import test from "ava";
import {
  createDecoder,
  encodeFrame,
  FrameType,
  HEADER_BYTES,
  MAX_PAYLOAD_BYTES,
  type Received,
} from "./frame.ts";

/** A small repeatable generator (mulberry32): a failing seed can be run again. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

function decodeAll(chunks: readonly Uint8Array[]): Received[] {
  const decoder = createDecoder();
  return chunks.flatMap((chunk) => [...decoder.push(chunk)]);
}

function header(length: number, streamId: number, type: number, flags = 0): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  bytes.writeUInt32BE(length, 0);
  bytes.writeUInt32BE(streamId, 4);
  bytes[8] = type;
  bytes[9] = flags;
  return bytes;
}

test("the header is ten bytes, big-endian", (t) => {
  const frame = encodeFrame(0x01020305, FrameType.RESPONSE, Buffer.from("ab"), 4);
  t.is(frame.toString("hex"), "00000002010203050204" + "6162");
});

test("frames come out whole wherever the bytes are cut", (t) => {
  const next = random(7);
  const sent = Array.from({ length: 60 }, (_, index) => {
    const size = index % 7 === 0 ? 0 : Math.floor(next() * 3000);
    return { streamId: index * 2 + 1, type: 1 + (index % 3), payload: Buffer.alloc(size, index) };
  });
  const bytes = Buffer.concat(sent.map((one) => encodeFrame(one.streamId, one.type, one.payload)));
  for (let round = 0; round < 40; round++) {
    const chunks: Buffer[] = [];
    for (let at = 0; at < bytes.length; ) {
      const size = round === 0 ? 1 : 1 + Math.floor(next() * (round * 100));
      chunks.push(bytes.subarray(at, at + size));
      at += size;
    }
    const received = decodeAll(chunks);
    t.is(received.length, sent.length);
    t.deepEqual(
      received.map((one) => ({
        streamId: one.header.streamId,
        type: one.header.type,
        payload: one.kind === "frame" ? Buffer.from(one.payload) : undefined,
      })),
      sent,
    );
  }
});

test("a frame over the limit is reported at its header, drained, and the next one is read", (t) => {
  const tooLong = MAX_PAYLOAD_BYTES + 1;
  const decoder = createDecoder();
  const [first] = decoder.push(header(tooLong, 9, FrameType.REQUEST));
  t.deepEqual(first, { kind: "oversize", header: { length: tooLong, streamId: 9, type: 1, flags: 0 } });
  t.deepEqual([...decoder.push(Buffer.alloc(tooLong - 3))], []);
  const rest = Buffer.concat([Buffer.alloc(3), encodeFrame(11, FrameType.REQUEST, Buffer.from("x"))]);
  const [next] = decoder.push(rest);
  t.is(next?.kind, "frame");
  t.is(next?.header.streamId, 11);
});

test("the largest payload passes, one byte more cannot be encoded", (t) => {
  const payload = Buffer.alloc(MAX_PAYLOAD_BYTES);
  const [received] = decodeAll([encodeFrame(1, FrameType.REQUEST, payload)]);
  t.is(received?.kind, "frame");
  t.throws(() => encodeFrame(1, FrameType.REQUEST, Buffer.alloc(MAX_PAYLOAD_BYTES + 1)), {
    instanceOf: RangeError,
  });
});

test("a length near 2^32 allocates nothing", (t) => {
  const before = process.memoryUsage().arrayBuffers;
  const decoder = createDecoder();
  t.is([...decoder.push(header(0xffff_ffff, 1, 1))][0]?.kind, "oversize");
  t.true(process.memoryUsage().arrayBuffers - before < 1 << 20);
});

test("garbage never throws", (t) => {
  for (let seed = 1; seed <= 200; seed++) {
    const next = random(seed);
    const decoder = createDecoder();
    for (let round = 0; round < 20; round++) {
      const chunk = Buffer.from(
        Array.from({ length: Math.floor(next() * 200) }, () => Math.floor(next() * 256)),
      );
      t.notThrows(() => [...decoder.push(chunk)]);
    }
  }
});
