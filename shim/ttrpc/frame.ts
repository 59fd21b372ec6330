/**
 * Framing of ttrpc (containerd/ttrpc PROTOCOL.md): bytes in, frames out. No socket, no policy.
 *
 *   length u32 BE | stream id u32 BE | type u8 | flags u8 | payload
 */
export const HEADER_BYTES = 10;
/** Longer payloads are refused, on their stream only. */
export const MAX_PAYLOAD_BYTES = 4 << 20;

export const FrameType = { REQUEST: 1, RESPONSE: 2, DATA: 3 } as const;

export const FrameFlag = { REMOTE_CLOSED: 1, REMOTE_OPEN: 2, NO_DATA: 4 } as const;

export interface FrameHeader {
  readonly streamId: number;
  /** One of FrameType, or anything else a peer sent. */
  readonly type: number;
  readonly flags: number;
  /** Bytes of payload as the header says. */
  readonly length: number;
}

/** A whole frame, or the header of one that was too long and whose payload is being skipped. */
export type Received =
  | { readonly kind: "frame"; readonly header: FrameHeader; readonly payload: Uint8Array }
  | { readonly kind: "oversize"; readonly header: FrameHeader };

/** One frame as bytes. Throws RangeError when the payload is over MAX_PAYLOAD_BYTES. */
export function encodeFrame(streamId: number, type: number, payload: Uint8Array, flags = 0): Buffer {
  if (payload.length > MAX_PAYLOAD_BYTES) {
    throw new RangeError(`payload of ${payload.length} bytes is over the limit of ${MAX_PAYLOAD_BYTES}`);
  }
  const frame = Buffer.allocUnsafe(HEADER_BYTES + payload.length);
  frame.writeUInt32BE(payload.length, 0);
  frame.writeUInt32BE(streamId, 4);
  frame.writeUInt8(type, 8);
  frame.writeUInt8(flags, 9);
  frame.set(payload, HEADER_BYTES);
  return frame;
}

type Progress =
  | { readonly in: "header" }
  | { readonly in: "payload"; readonly header: FrameHeader; readonly payload: Buffer }
  | { readonly in: "skip"; readonly header: FrameHeader };

/**
 * Decodes a stream of bytes cut anywhere. `push` yields what became complete; it never throws and never holds more
 * than one payload within the limit.
 */
export function createDecoder(): { push(chunk: Uint8Array): Generator<Received> } {
  const headerBytes = Buffer.alloc(HEADER_BYTES);
  let progress: Progress = { in: "header" };
  /** Bytes of the header, the payload or the skipped part that have arrived. */
  let filled = 0;

  function* push(chunk: Uint8Array): Generator<Received> {
    let offset = 0;
    const take = (wanted: number): Uint8Array => {
      const part = chunk.subarray(offset, offset + Math.min(wanted - filled, chunk.length - offset));
      offset += part.length;
      return part;
    };
    // A payload of no bytes is complete without another byte.
    while (offset < chunk.length) {
      if (progress.in === "header") {
        const part = take(HEADER_BYTES);
        headerBytes.set(part, filled);
        filled += part.length;
        if (filled < HEADER_BYTES) return;
        const header = readHeader(headerBytes);
        filled = 0;
        if (header.length > MAX_PAYLOAD_BYTES) {
          progress = { in: "skip", header };
          yield { kind: "oversize", header };
        } else if (header.length === 0) {
          yield { kind: "frame", header, payload: new Uint8Array(0) };
        } else {
          progress = { in: "payload", header, payload: Buffer.allocUnsafe(header.length) };
        }
        continue;
      }
      const { header } = progress;
      const part = take(header.length);
      if (progress.in === "payload") progress.payload.set(part, filled);
      filled += part.length;
      if (filled < header.length) return;
      const done: Progress = progress;
      progress = { in: "header" };
      filled = 0;
      if (done.in === "payload") yield { kind: "frame", header, payload: done.payload };
    }
  }
  return { push };
}

function readHeader(bytes: Buffer): FrameHeader {
  return {
    length: bytes.readUInt32BE(0),
    streamId: bytes.readUInt32BE(4),
    type: bytes.readUInt8(8),
    flags: bytes.readUInt8(9),
  };
}
