/** How a Greeting and its answer travel (agent.proto): these bytes, the length of the message (u32, big-endian), the message. */
const MARK = Buffer.from("TAPIR/1\n", "latin1");
const HEADER_BYTES = MARK.length + 4;
/** What gRPC takes on the same port; more is hostile, not large. */
const MAX_MESSAGE_BYTES = 4 << 20;

/** Whether `chunk` is the start of a greeting, as nothing in HTTP/2 begins. */
export function startsWithGreeting(chunk: Buffer): boolean {
  return chunk.length >= MARK.length && chunk.subarray(0, MARK.length).equals(MARK);
}

export function encodeFrame(message: Uint8Array): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  MARK.copy(header);
  header.writeUInt32BE(message.length, MARK.length);
  return Buffer.concat([header, message]);
}

/** Puts one frame together. */
export interface FrameReader {
  /** Takes the next bytes, cut anywhere; the message once it is whole. Throws when this cannot become a frame. */
  pass(chunk: Buffer): Buffer | undefined;
}

export function readFrame(): FrameReader {
  const header = Buffer.alloc(HEADER_BYTES);
  /** Made once its length is known: a peer that drips must not make us copy what came before again and again. */
  let message: Buffer | undefined;
  let taken = 0;
  return {
    pass(chunk) {
      const ofHeader = Math.max(0, Math.min(HEADER_BYTES - taken, chunk.length));
      chunk.copy(header, taken, 0, ofHeader);
      taken += ofHeader;
      if (taken < HEADER_BYTES) return undefined;
      message ??= Buffer.allocUnsafe(messageBytes(header));
      taken += chunk.copy(message, taken - HEADER_BYTES, ofHeader);
      return taken < HEADER_BYTES + message.length ? undefined : message;
    },
  };
}

function messageBytes(header: Buffer): number {
  if (!startsWithGreeting(header)) throw new Error("it is no greeting");
  const length = header.readUInt32BE(MARK.length);
  if (length > MAX_MESSAGE_BYTES) throw new Error(`it is larger than ${MAX_MESSAGE_BYTES} bytes`);
  return length;
}
