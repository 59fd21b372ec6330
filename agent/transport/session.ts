import { Duplex } from "node:stream";
import { startsWithPreface } from "./http2-frames.ts";
import { followCalls } from "./open-calls.ts";
import { createOutbox, type OutgoingPort } from "./outbox.ts";
import type { Language, Turn, TurnEvents } from "./turn.ts";

/** HTTP/2: `accept` gets a fresh Duplex for each connection, which begins with the client's preface. */
export function http2(accept: (stream: Duplex) => void): Language {
  return {
    begins: startsWithPreface,
    open: (port, events) => createSession(port, events, accept),
  };
}

/** Ends when the host goes, or has said goodbye and has its last answer. */
function createSession(port: OutgoingPort, events: TurnEvents, accept: (stream: Duplex) => void): Turn {
  const calls = followCalls();
  const outbox = createOutbox({
    ...port,
    write(bytes) {
      const count = port.write(bytes);
      if (count > 0) calls.sent(bytes.subarray(0, count));
      // Not while it is in the middle of this very write.
      if (calls.over) queueMicrotask(end);
      return count;
    },
  });
  const stream = new Duplex({
    read: events.onResume,
    write: (chunk: Buffer, _encoding, done) => outbox.send(chunk, done),
    // One write is one exit of the virtual machine: HTTP/2 hands over a frame in several pieces.
    writev: (pieces, done) => outbox.send(Buffer.concat(pieces.map((piece) => piece.chunk as Buffer)), done),
    destroy(error, done) {
      outbox.drop();
      events.onEnd();
      done(error);
    },
  });
  // A session that breaks is the host's to notice; the next one starts afresh.
  stream.on("error", () => undefined);
  const end = (): void => {
    if (stream.destroyed) return;
    stream.push(null);
    stream.destroy();
  };

  let accepted = false;
  return {
    get atBoundary() {
      return calls.atBoundary;
    },
    receive(chunk) {
      if (!accepted) accept(stream);
      accepted = true;
      calls.received(chunk);
      if (!calls.over) return stream.push(chunk);
      end();
      return true;
    },
    room: outbox.room,
    end,
  };
}
