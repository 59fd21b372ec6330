import type { OnReadOpts, Socket } from "node:net";
import { CHUNK_BYTES } from "../../proto/stdio-codec.ts";
import { bytesWaiting } from "../../sys/terminal.ts";

export interface OutputListener {
  /**
   * False: no more until `resume`. The chunk itself is taken either way; its memory is read into again once this has returned.
   */
  data(chunk: Buffer): boolean;
  /** Nobody can write there any more. */
  end(): void;
}

/** What comes out of a process: a pipe or terminal whose writer waits while nobody listens here. */
export interface Output {
  readonly ended: boolean;
  listen(listener: OutputListener): void;
  resume(): void;
  /** What is not given yet is kept for the next listener. */
  leave(): void;
  /** Calls `given` when everything that has been written until now was given to a listener, or cannot be any more. */
  whenGiven(given: () => void): void;
  close(): void;
}

/** All that is read at a time, by whom ever: it is given on, or copied, before the next read. */
const buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES);

/** Reads what `open` opens with the reader it is given, a descriptor `fd` with a stream that belongs to it, and owns both. */
export function readOutput<T extends { readonly stream: Socket; readonly fd: number }>(
  open: (onread: OnReadOpts) => T,
): { readonly output: Output; readonly opened: T } {
  let listener: OutputListener | undefined;
  /** Was read when nobody listened. */
  let held: Buffer | undefined;
  let ended = false;
  let delivered = 0;
  let marks: { at: number; given: () => void }[] = [];

  const passMarks = (): void => {
    const passed = marks.filter(({ at }) => ended || delivered >= at);
    marks = marks.filter((mark) => !passed.includes(mark));
    for (const { given } of passed) given();
  };
  const end = (): void => {
    if (ended) return;
    ended = true;
    listener?.end();
    passMarks();
  };
  const give = (chunk: Buffer, to: OutputListener): boolean => {
    delivered += chunk.length;
    const more = to.data(chunk);
    passMarks();
    return more;
  };
  const opened = open({
    buffer,
    callback(count) {
      const chunk = buffer.subarray(0, count);
      if (listener !== undefined) return give(chunk, listener);
      held = Buffer.from(chunk);
      return false;
    },
  });
  const { stream, fd } = opened;
  stream.on("end", end);
  stream.on("close", end);
  // EIO: nobody holds the terminal any more. What else can go wrong with a read is an end, too.
  stream.on("error", end);

  const output: Output = {
    get ended() {
      return ended;
    },
    listen(next) {
      listener = next;
      if (ended) {
        next.end();
        return;
      }
      const kept = held;
      held = undefined;
      if (kept === undefined || give(kept, next)) stream.resume();
    },
    resume: () => {
      if (listener !== undefined) stream.resume();
    },
    leave() {
      listener = undefined;
      stream.pause();
    },
    whenGiven(given) {
      marks.push({ at: ended ? 0 : stream.bytesRead + bytesWaiting(fd), given });
      passMarks();
    },
    close: () => {
      stream.destroy();
    },
  };
  return { output, opened };
}
