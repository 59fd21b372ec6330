import test from "ava";
import { TapirError } from "../../sys/error.ts";
import { createQmpDecoder, encodeCommand, type QmpMessage } from "./codec.ts";

const STREAM = Buffer.from(
  [
    '{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "Debian"}, "capabilities": ["oob"]}}',
    '{"return": {}, "id": 1}',
    "",
    '{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "DEVICE_DELETED", "data": {"device": "größe-網"}}',
    '{"id": 2, "error": {"class": "DeviceNotFound", "desc": "Device \'zz\' not found"}}',
    '{"event": "STOP", "timestamp": {"seconds": 1, "microseconds": 2}}',
    '{"error": {"class": "GenericError", "desc": "JSON parse error"}}',
    '{"return": [1, {"event": "no event"}], "id": 3}',
  ]
    .map((line) => `${line}\r\n`)
    .join(""),
);
const MESSAGES: readonly QmpMessage[] = [
  { kind: "greeting", version: "7.2.22", capabilities: ["oob"] },
  { kind: "return", id: 1, value: {} },
  { kind: "event", event: "DEVICE_DELETED", atMicroseconds: 1_000_002, data: { device: "größe-網" } },
  { kind: "error", id: 2, errorClass: "DeviceNotFound", description: "Device 'zz' not found" },
  { kind: "event", event: "STOP", atMicroseconds: 1_000_002, data: {} },
  { kind: "error", id: undefined, errorClass: "GenericError", description: "JSON parse error" },
  { kind: "return", id: 3, value: [1, { event: "no event" }] },
];

/** A generator with a seed, so that a failure can be repeated. */
function randomFrom(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state % limit;
  };
}

test("decodes a stream in one piece and byte by byte", (t) => {
  t.deepEqual(createQmpDecoder().push(STREAM), [...MESSAGES]);
  const decoder = createQmpDecoder();
  t.deepEqual(
    [...STREAM].flatMap((byte) => decoder.push(Uint8Array.of(byte))),
    [...MESSAGES],
  );
});

test("decodes a stream cut anywhere, also when the caller reuses its buffer", (t) => {
  for (let seed = 1; seed <= 300; seed += 1) {
    const random = randomFrom(seed);
    const decoder = createQmpDecoder();
    const messages: QmpMessage[] = [];
    const buffer = Buffer.alloc(STREAM.length);
    for (let start = 0; start < STREAM.length; ) {
      const length = Math.min(1 + random(90), STREAM.length - start);
      STREAM.copy(buffer, 0, start, start + length);
      messages.push(...decoder.push(buffer.subarray(0, length)));
      buffer.fill(0);
      start += length;
    }
    t.deepEqual(messages, [...MESSAGES], `seed ${seed}`);
  }
});

for (const [what, line] of Object.entries({
  "no JSON": "hello\n",
  "half an object": '{"return": \n',
  "an array": "[1]\n",
  null: "null\n",
  "an object of another protocol": '{"jsonrpc": "2.0"}\n',
  "an answer whose id is not ours": '{"return": {}, "id": "x"}\n',
  "binary bytes": "\u0000\u0001\u0002\n",
})) {
  test(`refuses ${what}`, (t) => {
    const error = t.throws(() => createQmpDecoder().push(Buffer.from(line)), { instanceOf: TapirError });
    t.regex(error.message, /^cannot decode QMP stream: /);
  });
}

test("never throws anything but its own error, whatever comes", (t) => {
  for (let seed = 1; seed <= 500; seed += 1) {
    const random = randomFrom(seed);
    const garbled = Buffer.from(STREAM);
    for (let count = 0; count < 5; count += 1) garbled[random(garbled.length)] = random(256);
    try {
      createQmpDecoder().push(garbled);
    } catch (error) {
      t.true(error instanceof TapirError, `seed ${seed}: ${String(error)}`);
    }
  }
  t.pass();
});

test("a line has a limit, counted over all its pieces", (t) => {
  const line = Buffer.from(`{"return": "${"x".repeat(100)}", "id": 1}\n`);
  t.is(createQmpDecoder(line.length).push(line).length, 1);
  const decoder = createQmpDecoder(64);
  decoder.push(line.subarray(0, 60));
  const error = t.throws(() => decoder.push(line.subarray(60)), { instanceOf: TapirError });
  t.regex(error.message, /longer than 64 bytes/);
});

test("encodes a command on one line", (t) => {
  t.is(
    encodeCommand(7, "getfd", { fdname: "a\nb" }).toString(),
    '{"execute":"getfd","arguments":{"fdname":"a\\nb"},"id":7}\n',
  );
  t.is(encodeCommand(8, "quit").toString(), '{"execute":"quit","id":8}\n');
});
