import type { Socket } from "node:net";
import { bytesWaiting } from "../../sys/terminal.ts";

export interface OutputListener {
  /** False: no more until `resume`. The chunk itself is taken either way. */
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

/** Reads `socket`, whose descriptor is `fd`, and owns it. */
export function readOutput(socket: Socket, fd: number): Output {
  let listener: OutputListener | undefined;
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
  const onData = (chunk: Buffer): void => {
    delivered += chunk.length;
    if (listener?.data(chunk) === false) socket.pause();
    passMarks();
  };
  socket.on("end", end);
  socket.on("close", end);
  // EIO: nobody holds the terminal any more. What else can go wrong with a read is an end, too.
  socket.on("error", end);

  return {
    get ended() {
      return ended;
    },
    listen(next) {
      listener = next;
      if (ended) {
        next.end();
        return;
      }
      socket.on("data", onData);
      socket.resume();
    },
    resume: () => {
      if (listener !== undefined) socket.resume();
    },
    leave() {
      listener = undefined;
      socket.off("data", onData);
      socket.pause();
    },
    whenGiven(given) {
      marks.push({ at: ended ? 0 : socket.bytesRead + bytesWaiting(fd), given });
      passMarks();
    },
    close: () => {
      socket.destroy();
    },
  };
}
