import test from "ava";
import {
  attribute,
  attributeNest,
  attributeText,
  attributeU8,
  attributeU32,
  decodeAttributeList,
  decodeAttributes,
  textOf,
  u8Of,
  u32Of,
} from "./attribute.ts";
import { decodeMessages, encodeMessage } from "./message.ts";

test("messages of one datagram, each padded to four bytes", (t) => {
  const messages = [
    { type: 16, flags: 2, sequence: 7, port: 0x8000_0001, payload: Buffer.from("abc") },
    { type: 3, flags: 0, sequence: 0xffff_ffff, port: 0, payload: Buffer.alloc(0) },
  ];
  const datagram = Buffer.concat(messages.map(encodeMessage));
  t.is(datagram.length, 20 + 16);
  t.deepEqual(decodeMessages(datagram), messages);
});

test("a length that lies is an error, not an endless loop", (t) => {
  const message = encodeMessage({ type: 16, flags: 0, sequence: 1, port: 0, payload: Buffer.alloc(4) });
  for (const length of [0, 15, 21, 0xffff_ffff]) {
    const bad = Buffer.from(message);
    bad.writeUInt32LE(length, 0);
    t.throws(() => decodeMessages(bad), { message: /cannot decode netlink answer/ });
  }
  t.deepEqual(decodeMessages(Buffer.alloc(15)), []);
});

test("attributes: aligned, nested, unknown ones kept", (t) => {
  const bytes = Buffer.concat([
    attributeU8(1, 200),
    attributeU32(2, 0xffff_ffff),
    attributeText(3, "eth0"),
    attributeNest(4, attributeU32(1, 5), attributeText(2, "ü")),
    attribute(999, Buffer.of(1, 2, 3, 4, 5)),
  ]);
  const decoded = decodeAttributes(bytes);
  t.is(u8Of(decoded.get(1)), 200);
  t.is(u32Of(decoded.get(2)), 0xffff_ffff);
  t.is(textOf(decoded.get(3)), "eth0");
  const inner = decodeAttributes(decoded.get(4) ?? Buffer.alloc(0));
  t.is(u32Of(inner.get(1)), 5);
  t.is(textOf(inner.get(2)), "ü");
  t.deepEqual(decoded.get(999), Buffer.of(1, 2, 3, 4, 5));
});

test("a list keeps repeated types; short values read as absent", (t) => {
  const bytes = Buffer.concat([attributeU8(1, 1), attributeU8(1, 2)]);
  t.deepEqual(
    decodeAttributeList(bytes).map(([type, value]) => [type, u8Of(value)]),
    [
      [1, 1],
      [1, 2],
    ],
  );
  t.is(u32Of(Buffer.alloc(3)), undefined);
  t.is(u8Of(Buffer.alloc(0)), undefined);
  t.is(textOf(undefined), undefined);
  t.is(textOf(Buffer.from("no end")), "no end");
});

test("an attribute that reaches past the end is an error", (t) => {
  for (const length of [0, 3, 9, 0xffff]) {
    const bytes = attributeU32(1, 1);
    bytes.writeUInt16LE(length, 0);
    t.throws(() => decodeAttributes(bytes), { message: /attribute of/ });
  }
});
