import { END_STREAM, FRAME, followFrames } from "./http2-frames.ts";

/** Knows from the frames of one HTTP/2 connection whether its client is through. */
export interface OpenCalls {
  /** True when the bytes from the client end with a whole frame. */
  readonly atBoundary: boolean;
  /** The client said goodbye and every call of it is answered: whatever would be written now is for nobody. */
  readonly over: boolean;
  received(chunk: Buffer): void;
  sent(chunk: Buffer): void;
}

export function followCalls(): OpenCalls {
  const incoming = followFrames("client");
  const outgoing = followFrames("server");
  const open = new Set<number>();
  let goodbye = false;
  return {
    get atBoundary() {
      return incoming.atBoundary;
    },
    get over() {
      return goodbye && open.size === 0;
    },
    received(chunk) {
      for (const { type, stream } of incoming.pass(chunk)) {
        if (type === FRAME.HEADERS) open.add(stream);
        if (type === FRAME.RST_STREAM) open.delete(stream);
        if (type === FRAME.GOAWAY) goodbye = true;
      }
    },
    sent(chunk) {
      for (const { type, flags, stream } of outgoing.pass(chunk)) {
        const ends = (type === FRAME.DATA || type === FRAME.HEADERS) && (flags & END_STREAM) !== 0;
        if (ends || type === FRAME.RST_STREAM) open.delete(stream);
      }
    },
  };
}
