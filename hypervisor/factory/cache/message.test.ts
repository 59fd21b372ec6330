import test from "ava";
import { codeOf } from "../../../sys/error.ts";
import { Code } from "../../../sys/status.ts";
import {
  decodeOffer,
  decodeRequest,
  decodeState,
  encodeLine,
  expectLine,
  MAX_LINE_BYTES,
  STATE_REQUEST,
  splitLine,
  TAKEN,
  YOURS,
} from "./message.ts";

const KEY = `${"0123456789abcdef".repeat(2)}-copy`;
const CLONE = {
  directory: "/run/tapir/.cache/0a1b2c3d",
  pid: 4711,
  startTime: "123456",
  token: "01234567-89ab-cdef-0123-456789abcdef",
  qemuVersion: "7.2.22",
  monotonicNanoseconds: "123456789012",
};
const lineOf = (message: object): string => JSON.stringify(message);

test("lines come apart where they end, however they came", (t) => {
  const bytes = Buffer.concat([encodeLine({ take: KEY }), encodeLine(TAKEN), Buffer.from('{"ta')]);
  for (let end = 0; end < encodeLine({ take: KEY }).length; end++)
    t.is(splitLine(bytes.subarray(0, end)), undefined);
  const first = splitLine(bytes);
  t.deepEqual(decodeRequest(first?.line ?? ""), { take: KEY });
  const second = splitLine(first?.rest ?? Buffer.alloc(0));
  t.notThrows(() => expectLine(second?.line ?? "", TAKEN));
  t.is(splitLine(second?.rest ?? Buffer.alloc(0)), undefined);
});

test("a line that is too long is refused, complete or not", (t) => {
  t.is(splitLine(Buffer.alloc(MAX_LINE_BYTES - 1, "x")), undefined);
  t.is(splitLine(Buffer.from(`${"x".repeat(MAX_LINE_BYTES - 1)}\n`))?.line.length, MAX_LINE_BYTES - 1);
  for (const text of ["x".repeat(MAX_LINE_BYTES), `${"x".repeat(MAX_LINE_BYTES)}\n`]) {
    t.is(codeOf(t.throws(() => splitLine(Buffer.from(text)))), Code.INVALID_ARGUMENT);
  }
});

test("an offer comes over as it was made", (t) => {
  t.deepEqual(decodeOffer(lineOf({ clone: CLONE })), { clone: CLONE });
  t.deepEqual(decodeOffer(lineOf({ none: "busy" })), { none: "busy" });
});

const garbage = ["", "{", "null", "[]", "7", '"clone"', "{}", "\0\xff"];

for (const line of garbage) {
  test(`no message: ${JSON.stringify(line)}`, (t) => {
    for (const decode of [decodeRequest, decodeOffer, decodeState, (text: string) => expectLine(text, YOURS)])
      t.is(codeOf(t.throws(() => decode(line))), Code.INVALID_ARGUMENT);
  });
}

test("a request names a key as they are made", (t) => {
  for (const take of ["", "../../etc", KEY.toUpperCase(), `${KEY} `, 7, null])
    t.throws(() => decodeRequest(lineOf({ take })), undefined, String(take));
});

test("an offer that would end or remove something else is refused", (t) => {
  const wrong = {
    directory: [
      "/",
      "/run/tapir/k8s.io/0a1b2c3d",
      "/.cache/../0a1b2c3d",
      "run/.cache/0a1b2c3d",
      "/run/../.cache/0a1b2c3d",
      "/run/.cache/0a1b2c3d/",
      "/run/.cache/..",
      7,
    ],
    pid: [0, 1, -1, 1.5, "4711", null],
    startTime: ["", "x", 5],
    token: ["", "short", undefined],
    monotonicNanoseconds: ["-1", "1e9", 7],
    qemuVersion: [undefined, 7],
  };
  for (const [field, values] of Object.entries(wrong)) {
    for (const value of values) {
      const line = lineOf({ clone: { ...CLONE, [field]: value } });
      t.throws(() => decodeOffer(line), undefined, `${field}: ${value}`);
    }
  }
});

test("a state comes over as it was told; another version's is refused", (t) => {
  const state = { size: 2, ready: { [KEY]: 1 }, served: 5, uptimeSeconds: 60, trouble: "too little memory" };
  t.deepEqual(decodeState(lineOf({ state })), state);
  t.deepEqual(decodeRequest(lineOf(STATE_REQUEST)), STATE_REQUEST);
  for (const change of [{ size: "2" }, { ready: { [KEY]: null } }, { ready: [] }, { trouble: 7 }]) {
    t.throws(
      () => decodeState(lineOf({ state: { ...state, ...change } })),
      undefined,
      JSON.stringify(change),
    );
  }
});

test("one word is not taken for the other", (t) => {
  t.throws(() => expectLine(lineOf(TAKEN), YOURS));
  t.throws(() => expectLine(lineOf({ yours: "true" }), YOURS));
});
