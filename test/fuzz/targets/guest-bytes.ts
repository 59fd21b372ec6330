import { isDeepStrictEqual } from "node:util";
import { StdioResponse } from "../../../proto/gen/tapir/agent/v1/container.ts";
import { encodeFrame, readFrame } from "../../../proto/greeting.ts";
import { decodeResponse, responseEncoder } from "../../../proto/stdio-codec.ts";
import { TapirError } from "../../../sys/error.ts";
import { Code } from "../../../sys/status.ts";
import type { Target } from "../fuzz.ts";

/** What a guest sends is read by code of our own here, not by a library. */

const encode = responseEncoder();
const responses: Partial<StdioResponse>[] = [
  { stdout: Buffer.from("hello") },
  { stderr: Buffer.alloc(300, "x") },
  { stdout: Buffer.alloc(0) },
  { drained: true },
  { stdoutEnd: true, stderrEnd: true },
];

/** What either says of the same bytes; undefined when it refuses them. */
function attempt<T>(decode: () => T): T | undefined {
  try {
    return decode();
  } catch {
    return undefined;
  }
}

const stdio: Target = {
  name: "output of a guest",
  // The encoder's buffer is its own.
  seeds: responses.map((response) => Buffer.from(encode(StdioResponse.fromPartial(response)))),
  words: ["\n\x00", "\x12\x80\x00", "\n\x80\x80\x80\x80\x10", "\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"],
  run(input) {
    const wanted = attempt(() => StdioResponse.decode(input));
    const got = attempt(() => decodeResponse(input));
    if (!isDeepStrictEqual(plain(got), plain(wanted)))
      throw new Error(`the generated code reads ${JSON.stringify(wanted)}, ours ${JSON.stringify(got)}`);
    if (got === undefined) throw refusal("output");
  },
};

/** Both give views of bytes, of different classes. */
function plain(response: StdioResponse | undefined): object | undefined {
  if (response === undefined) return undefined;
  const { stdout, stderr, ...rest } = response;
  return { ...rest, stdout: stdout && Buffer.from(stdout), stderr: stderr && Buffer.from(stderr) };
}

const frames: Target = {
  name: "greeting frames",
  seeds: [
    encodeFrame(Buffer.from("\n\x03pod")),
    encodeFrame(Buffer.alloc(0)),
    encodeFrame(Buffer.alloc(300)),
  ],
  words: ["TAPIR/1\n", "TAPIR/1\n\x00\x40\x00\x01", "TAPIR/1\n\xff\xff\xff\xff"],
  run(input) {
    const whole = attempt(() => readFrame().pass(input));
    // Cut anywhere, as sockets do; once it is whole, its reader is asked no more.
    const reader = readFrame();
    let pieces: Buffer | undefined;
    for (let at = 0; at < input.length && pieces === undefined; at += 1) {
      const step = attempt(() => ({ message: reader.pass(input.subarray(at, at + 1)) }));
      if (step === undefined) break;
      pieces = step.message;
    }
    if (!isDeepStrictEqual(pieces, whole)) throw new Error("what a frame holds depends on where it is cut");
    if (whole === undefined) throw refusal("greeting");
    if (!input.subarray(0, encodeFrame(whole).length).equals(encodeFrame(whole)))
      throw new Error("a frame holds what was not sent");
  },
};

/** Whoever reads says so; here only that it was refused matters. */
function refusal(object: string): TapirError {
  return new TapirError({ code: Code.INTERNAL, operation: "decode", object, cause: "it is none" });
}

export const guestByteTargets: readonly Target[] = [stdio, frames];
