import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import type { QmpEvent } from "./events.ts";

/**
 * QMP on the wire: one JSON object per line (docs/interop/qmp-spec.txt of QEMU). Pure: bytes in, messages out.
 */
export type QmpMessage =
  | { readonly kind: "greeting"; readonly version: string; readonly capabilities: readonly string[] }
  | { readonly kind: "return"; readonly id: number; readonly value: unknown }
  /** `id` is missing when QEMU could not even parse the command. */
  | {
      readonly kind: "error";
      readonly id: number | undefined;
      readonly errorClass: string;
      readonly description: string;
    }
  | ({ readonly kind: "event" } & QmpEvent);

export interface QmpDecoder {
  /** The messages that `chunk` completed. Throws a TapirError (DATA_LOSS) on anything that is not QMP; the stream is lost then. */
  push(chunk: Uint8Array): QmpMessage[];
}

/** Far above the largest answer of the commands we use (a few KiB). */
const MAX_LINE_BYTES = 1024 * 1024;
const LINE_FEED = 0x0a;

export function createQmpDecoder(maxLineBytes: number = MAX_LINE_BYTES): QmpDecoder {
  let parts: Uint8Array[] = [];
  let buffered = 0;
  const hold = (part: Uint8Array): void => {
    buffered += part.length;
    if (buffered > maxLineBytes) throw malformed(`a line is longer than ${maxLineBytes} bytes`);
    if (part.length > 0) parts.push(part);
  };
  return {
    push(chunk) {
      const messages: QmpMessage[] = [];
      let start = 0;
      for (let end = chunk.indexOf(LINE_FEED); end >= 0; end = chunk.indexOf(LINE_FEED, start)) {
        hold(chunk.subarray(start, end));
        const line = Buffer.concat(parts).toString("utf8").trim();
        parts = [];
        buffered = 0;
        start = end + 1;
        if (line !== "") messages.push(decodeLine(line));
      }
      // The rest is copied: the caller may reuse its buffer.
      hold(Uint8Array.from(chunk.subarray(start)));
      return messages;
    },
  };
}

export function encodeCommand(id: number, command: string, parameters?: object): Buffer {
  return Buffer.from(`${JSON.stringify({ execute: command, arguments: parameters, id })}\n`);
}

function decodeLine(line: string): QmpMessage {
  const message = parseObject(line);
  if (isRecord(message.QMP)) return decodeGreeting(message.QMP);
  if (typeof message.event === "string") {
    const { event, data, timestamp } = message;
    return {
      kind: "event",
      event,
      atMicroseconds: microsecondsOf(timestamp),
      data: isRecord(data) ? data : {},
    };
  }
  if ("return" in message && isId(message.id)) {
    return { kind: "return", id: message.id, value: message.return };
  }
  if (isRecord(message.error)) {
    const { class: errorClass, desc } = message.error;
    return {
      kind: "error",
      id: isId(message.id) ? message.id : undefined,
      errorClass: typeof errorClass === "string" ? errorClass : "GenericError",
      description: typeof desc === "string" ? desc : "no description",
    };
  }
  throw malformed(`neither greeting, event nor answer: ${excerpt(line)}`);
}

function decodeGreeting(greeting: Record<string, unknown>): QmpMessage {
  const { version, capabilities } = greeting;
  const qemu = isRecord(version) && isRecord(version.qemu) ? version.qemu : {};
  return {
    kind: "greeting",
    version: [qemu.major, qemu.minor, qemu.micro].map((part) => String(part ?? "?")).join("."),
    capabilities: Array.isArray(capabilities) ? capabilities.filter((one) => typeof one === "string") : [],
  };
}

function microsecondsOf(timestamp: unknown): number {
  const { seconds, microseconds } = isRecord(timestamp) ? timestamp : {};
  return typeof seconds === "number" && typeof microseconds === "number" ? seconds * 1e6 + microseconds : NaN;
}

function parseObject(line: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw malformed(`not JSON: ${excerpt(line)}`);
  }
  if (!isRecord(value)) throw malformed(`not an object: ${excerpt(line)}`);
  return value;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isId(value: unknown): value is number {
  return Number.isSafeInteger(value);
}

function excerpt(line: string): string {
  return JSON.stringify(line.length > 80 ? `${line.slice(0, 80)}...` : line);
}

function malformed(cause: string): TapirError {
  return new TapirError({ code: Code.DATA_LOSS, operation: "decode", object: "QMP stream", cause });
}
