/** What every HTTP/2 client sends first (RFC 9113, section 3.4). */
const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");
const FRAME_HEADER_BYTES = 9;

/** True when `chunk` is the start of a new HTTP/2 connection. */
export function startsWithPreface(chunk: Buffer): boolean {
  return chunk.length >= PREFACE.length && chunk.subarray(0, PREFACE.length).equals(PREFACE);
}

/** Follows the frames of one HTTP/2 connection, so that a second preface can be told from payload. */
export interface FrameBoundary {
  /** True when everything seen so far ends with a whole frame. */
  readonly reached: boolean;
  pass(chunk: Buffer): void;
}

/** Begins before the preface; looks at lengths only (RFC 9113, section 4.1). */
export function followFrames(): FrameBoundary {
  let prefaceLeft = PREFACE.length;
  let payloadLeft = 0;
  let headerSeen = 0;
  let length = 0;
  return {
    get reached() {
      return prefaceLeft === 0 && payloadLeft === 0 && headerSeen === 0;
    },
    pass(chunk) {
      let at = Math.min(prefaceLeft, chunk.length);
      prefaceLeft -= at;
      while (at < chunk.length) {
        if (payloadLeft > 0) {
          const step = Math.min(payloadLeft, chunk.length - at);
          payloadLeft -= step;
          at += step;
          continue;
        }
        // The length is the first three of a header's nine bytes.
        if (headerSeen < 3) length = length * 256 + (chunk[at] ?? 0);
        headerSeen += 1;
        at += 1;
        if (headerSeen < FRAME_HEADER_BYTES) continue;
        payloadLeft = length;
        headerSeen = 0;
        length = 0;
      }
    },
  };
}
