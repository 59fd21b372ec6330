/** What every HTTP/2 client sends first (RFC 9113, section 3.4). */
const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");
const HEADER_BYTES = 9;

/** Frame types and flags that open or close something (RFC 9113, section 6). */
export const FRAME = { DATA: 0, HEADERS: 1, RST_STREAM: 3, GOAWAY: 7 } as const;
export const END_STREAM = 0x1;

/** The fixed part of a frame (RFC 9113, section 4.1). */
export interface FrameHeader {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
}

/** True when `chunk` is the start of a new HTTP/2 connection. */
export function startsWithPreface(chunk: Buffer): boolean {
  return chunk.length >= PREFACE.length && chunk.subarray(0, PREFACE.length).equals(PREFACE);
}

/** Follows the frames of one direction of an HTTP/2 connection without looking into them. */
export interface FrameFollower {
  /** True when everything seen so far ends with a whole frame. */
  readonly atBoundary: boolean;
  /** Takes the next bytes, cut anywhere; returns the headers that ended in them. */
  pass(chunk: Buffer): FrameHeader[];
}

/** `from`: the client begins with the preface, the server with a frame. */
export function followFrames(from: "client" | "server"): FrameFollower {
  const header = Buffer.alloc(HEADER_BYTES);
  let headerSeen = 0;
  let skip = from === "client" ? PREFACE.length : 0;
  return {
    get atBoundary() {
      return skip === 0 && headerSeen === 0;
    },
    pass(chunk) {
      const headers: FrameHeader[] = [];
      for (let at = 0; at < chunk.length; ) {
        if (skip > 0) {
          const step = Math.min(skip, chunk.length - at);
          skip -= step;
          at += step;
          continue;
        }
        const copied = chunk.copy(header, headerSeen, at);
        headerSeen += copied;
        at += copied;
        if (headerSeen < HEADER_BYTES) continue;
        headerSeen = 0;
        skip = header.readUIntBE(0, 3);
        const stream = header.readUInt32BE(5) & 0x7fff_ffff;
        headers.push({ type: header.readUInt8(3), flags: header.readUInt8(4), stream });
      }
      return headers;
    },
  };
}
