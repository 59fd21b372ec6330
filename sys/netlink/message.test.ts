import test from "ava";
import {
  attribute,
  attributeNest,
  attributeText,
  attributeU8,
  attributeU32,
  decodeAttributeList,
  decodeAttributes,
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
  t.is(decoded.u8(1), 200);
  t.is(decoded.u32(2), 0xffff_ffff);
  t.is(decoded.text(3), "eth0");
  const inner = decodeAttributes(decoded.get(4) ?? Buffer.alloc(0));
  t.is(inner.u32(1), 5);
  t.is(inner.text(2), "ü");
  t.deepEqual(decoded.get(999), Buffer.of(1, 2, 3, 4, 5));
});

test("a list keeps repeated types; short values read as absent", (t) => {
  const bytes = Buffer.concat([attributeU8(1, 1), attributeU8(1, 2)]);
  t.deepEqual(
    decodeAttributeList(bytes).map(([type, value]) => [type, value[0]]),
    [
      [1, 1],
      [1, 2],
    ],
  );
});

test("a value that is too short for a number is none", (t) => {
  const decoded = decodeAttributes(
    Buffer.concat([
      attribute(1, Buffer.alloc(3)),
      attribute(2, Buffer.alloc(0)),
      attribute(3, Buffer.from("no end")),
    ]),
  );
  t.is(decoded.u32(1), undefined);
  t.is(decoded.u8(2), undefined);
  t.is(decoded.text(2), "");
  t.is(decoded.text(3), "no end");
  t.is(decoded.text(4), undefined);
});

test("an attribute that reaches past the end is an error", (t) => {
  for (const length of [0, 3, 9, 0xffff]) {
    const bytes = attributeU32(1, 1);
    bytes.writeUInt16LE(length, 0);
    t.throws(() => decodeAttributes(bytes), { message: /attribute of/ });
  }
});
