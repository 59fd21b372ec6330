import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { type Status, StatusCode } from "./status.ts";

/** What a request frame carries (ttrpc request.proto). */
export interface Request {
  readonly service: string;
  readonly method: string;
  readonly payload: Uint8Array;
  /** Nanoseconds the caller waits; 0 = for ever. */
  readonly timeoutNano: bigint;
  readonly metadata: readonly KeyValue[];
}

export interface KeyValue {
  readonly key: string;
  readonly value: string;
}

/** What a response frame carries. */
export interface Response {
  readonly status: Status;
  readonly payload: Uint8Array;
}

export function encodeRequest(request: Request): Uint8Array {
  const writer = new BinaryWriter();
  writer.uint32(tag(1, WireType.LengthDelimited)).string(request.service);
  writer.uint32(tag(2, WireType.LengthDelimited)).string(request.method);
  writer.uint32(tag(3, WireType.LengthDelimited)).bytes(request.payload);
  writer.uint32(tag(4, WireType.Varint)).int64(request.timeoutNano);
  for (const { key, value } of request.metadata) {
    writer.uint32(tag(5, WireType.LengthDelimited)).fork();
    writer.uint32(tag(1, WireType.LengthDelimited)).string(key);
    writer.uint32(tag(2, WireType.LengthDelimited)).string(value);
    writer.join();
  }
  return writer.finish();
}

/** Throws when the bytes are no protobuf message. Unknown fields are skipped. */
export function decodeRequest(bytes: Uint8Array): Request {
  let service = "";
  let method = "";
  let payload: Uint8Array = new Uint8Array(0);
  let timeoutNano = 0n;
  const metadata: KeyValue[] = [];
  readFields(bytes, {
    [tag(1, WireType.LengthDelimited)]: (reader) => {
      service = reader.string();
    },
    [tag(2, WireType.LengthDelimited)]: (reader) => {
      method = reader.string();
    },
    [tag(3, WireType.LengthDelimited)]: (reader) => {
      payload = reader.bytes();
    },
    [tag(4, WireType.Varint)]: (reader) => {
      timeoutNano = BigInt(reader.int64());
    },
    [tag(5, WireType.LengthDelimited)]: (reader) => {
      metadata.push(decodeKeyValue(reader.bytes()));
    },
  });
  return { service, method, payload, timeoutNano, metadata };
}

export function encodeResponse(response: Response): Uint8Array {
  const writer = new BinaryWriter();
  const { code, message } = response.status;
  if (code !== StatusCode.OK) {
    writer.uint32(tag(1, WireType.LengthDelimited)).fork();
    writer.uint32(tag(1, WireType.Varint)).int32(code);
    writer.uint32(tag(2, WireType.LengthDelimited)).string(message);
    writer.join();
  }
  writer.uint32(tag(2, WireType.LengthDelimited)).bytes(response.payload);
  return writer.finish();
}

/** Throws when the bytes are no protobuf message. */
export function decodeResponse(bytes: Uint8Array): Response {
  let status: Status = { code: StatusCode.OK, message: "" };
  let payload: Uint8Array = new Uint8Array(0);
  readFields(bytes, {
    [tag(1, WireType.LengthDelimited)]: (reader) => {
      status = decodeStatus(reader.bytes());
    },
    [tag(2, WireType.LengthDelimited)]: (reader) => {
      payload = reader.bytes();
    },
  });
  return { status, payload };
}

function decodeStatus(bytes: Uint8Array): Status {
  let code: number = StatusCode.OK;
  let message = "";
  readFields(bytes, {
    [tag(1, WireType.Varint)]: (reader) => {
      code = reader.int32();
    },
    [tag(2, WireType.LengthDelimited)]: (reader) => {
      message = reader.string();
    },
  });
  return { code, message };
}

function decodeKeyValue(bytes: Uint8Array): KeyValue {
  let key = "";
  let value = "";
  readFields(bytes, {
    [tag(1, WireType.LengthDelimited)]: (reader) => {
      key = reader.string();
    },
    [tag(2, WireType.LengthDelimited)]: (reader) => {
      value = reader.string();
    },
  });
  return { key, value };
}

function tag(field: number, wireType: WireType): number {
  return (field << 3) | wireType;
}

/** Walks a message; a field with an unexpected number or wire type is skipped, as protobuf demands. */
function readFields(bytes: Uint8Array, fields: Record<number, (reader: BinaryReader) => void>): void {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    const read = fields[tag(number, wireType)];
    if (read === undefined) reader.skip(wireType, number);
    else read(reader);
  }
}
