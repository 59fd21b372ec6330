import { StdioRequest, StdioResponse } from "./gen/tapir/agent/v1/container.ts";

/**
 * The messages of the Stdio stream, as the generated code has them on the wire, without its copies: what carries bytes is
 * most of the traffic, and each copy of it is memory that waits for a garbage collector.
 */

/** Field number of `bytes` in a message that holds nothing else (protobuf, "Length-Delimited Records"). */
const STDIN_TAG = 26;
const STDOUT_TAG = 10;
const STDERR_TAG = 18;
/** Tag and length of a chunk, at most. */
const HEADER_BYTES = 6;

/**
 * The most bytes of one message that fill whole frames of HTTP/2 (16 KiB each in Node), with the five bytes of gRPC and the
 * four of this message before them.
 */
export const CHUNK_BYTES = (64 << 10) - 9;

/** Of a response. What it returns is valid until it encodes the next one: for a caller that copies it at once. */
export function responseEncoder(): (message: StdioResponse) => Buffer {
  let scratch = Buffer.alloc(0);
  const room = (length: number): Buffer => {
    if (scratch.length < length) scratch = Buffer.allocUnsafeSlow(length);
    return scratch;
  };
  return (message) => {
    if (message.stdout !== undefined) return lengthDelimited(STDOUT_TAG, message.stdout, room);
    if (message.stderr !== undefined) return lengthDelimited(STDERR_TAG, message.stderr, room);
    return Buffer.from(StdioResponse.encode(message).finish());
  };
}

export function encodeRequest(message: StdioRequest): Buffer {
  const { containerId, execId, stdin } = message;
  if (containerId === "" && execId === "") return lengthDelimited(STDIN_TAG, stdin, Buffer.allocUnsafe);
  return Buffer.from(StdioRequest.encode(message).finish());
}

/** The bytes of the message stay those of `encoded`. */
export function decodeRequest(encoded: Buffer): StdioRequest {
  const stdin = onlyField(STDIN_TAG, encoded);
  return stdin === undefined ? StdioRequest.decode(encoded) : { containerId: "", execId: "", stdin };
}

/** The bytes of the message stay those of `encoded`. */
export function decodeResponse(encoded: Buffer): StdioResponse {
  const stdout = onlyField(STDOUT_TAG, encoded);
  if (stdout !== undefined) return { ...NOTHING, stdout };
  const stderr = onlyField(STDERR_TAG, encoded);
  return stderr === undefined ? StdioResponse.decode(encoded) : { ...NOTHING, stderr };
}

const NOTHING: StdioResponse = {
  stdout: undefined,
  stderr: undefined,
  stdoutEnd: undefined,
  stderrEnd: undefined,
  drained: undefined,
  stdinClosed: undefined,
};

function lengthDelimited(tag: number, bytes: Uint8Array, room: (length: number) => Buffer): Buffer {
  const buffer = room(bytes.length + HEADER_BYTES);
  let at = 0;
  buffer[at++] = tag;
  let left = bytes.length;
  for (; left > 0x7f; left >>>= 7) buffer[at++] = (left & 0x7f) | 0x80;
  buffer[at++] = left;
  buffer.set(bytes, at);
  return buffer.subarray(0, at + bytes.length);
}

/** The field's bytes where the message is just that field, in its shortest form. */
function onlyField(tag: number, encoded: Buffer): Buffer | undefined {
  if (encoded[0] !== tag) return undefined;
  let length = 0;
  let at = 1;
  for (let shift = 0; at < HEADER_BYTES; shift += 7) {
    const byte = encoded[at++] ?? 0;
    length += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) break;
  }
  return length === encoded.length - at ? encoded.subarray(at) : undefined;
}
