import { Duplex } from "node:stream";

/** Where the bytes of a session go; answers how many were taken, -1 for "full, ask again when there is room". */
export interface SessionPort {
  write(bytes: Buffer): number;
  /** Asks for `Session.room` to be called, once. */
  waitForRoom(): void;
}

/** One HTTP/2 connection of the host: a Duplex that begins with the client's preface and ends when the host goes. */
export interface Session {
  readonly stream: Duplex;
  /** Gives received bytes to the reader; false: hold the next ones until `onResume`. */
  receive(chunk: Buffer): boolean;
  /** There is room to write again. */
  room(): void;
  /** Drops what is not written yet and ends the stream. */
  end(): void;
}

/** `onResume`: the reader wants more; `onEnd`: the stream is gone, whoever ended it. */
export function createSession(port: SessionPort, onResume: () => void, onEnd: () => void): Session {
  let unwritten: { bytes: Buffer; done: (error?: Error | null) => void } | undefined;

  const flush = (): void => {
    while (unwritten !== undefined) {
      const count = port.write(unwritten.bytes);
      if (count === -1) {
        port.waitForRoom();
        return;
      }
      if (count < unwritten.bytes.length) {
        unwritten.bytes = unwritten.bytes.subarray(count);
        continue;
      }
      const { done } = unwritten;
      unwritten = undefined;
      done();
    }
  };
  const send = (bytes: Buffer, done: (error?: Error | null) => void): void => {
    unwritten = { bytes, done };
    try {
      flush();
    } catch (error) {
      unwritten = undefined;
      done(error as Error);
    }
  };

  const stream = new Duplex({
    read: onResume,
    write: (chunk: Buffer, _encoding, done) => send(chunk, done),
    // One write is one exit of the virtual machine: HTTP/2 hands over a frame in several pieces.
    writev: (pieces, done) => send(Buffer.concat(pieces.map((piece) => piece.chunk as Buffer)), done),
    destroy(error, done) {
      unwritten = undefined;
      onEnd();
      done(error);
    },
  });
  // A session that breaks is the host's to notice; the next one starts afresh.
  stream.on("error", () => undefined);

  return {
    stream,
    receive: (chunk) => stream.push(chunk),
    room: () => {
      try {
        flush();
      } catch (error) {
        stream.destroy(error as Error);
      }
    },
    end: () => {
      stream.push(null);
      stream.destroy();
    },
  };
}
