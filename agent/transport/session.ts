import { Duplex } from "node:stream";
import { startsWithPreface } from "./http2-frames.ts";
import { followCalls } from "./open-calls.ts";
import { createOutbox, type OutgoingPort } from "./outbox.ts";
import type { Language, Turn, TurnEvents } from "./turn.ts";

/** What a call's window lets through is joined in one piece. */
const SCRATCH_BYTES = 128 << 10;

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
  /** A stream that has not been read keeps what it gets, whatever it says. */
  let asked = false;
  let scratch = Buffer.alloc(0);
  /** Free again once the outbox is done with it: a stream writes one thing after the other. */
  const joined = (pieces: readonly { readonly chunk: Buffer }[]): Buffer => {
    const length = pieces.reduce((sum, { chunk }) => sum + chunk.length, 0);
    if (scratch.length < length) scratch = Buffer.allocUnsafeSlow(Math.max(length, SCRATCH_BYTES));
    let at = 0;
    for (const { chunk } of pieces) at += chunk.copy(scratch, at);
    return scratch.subarray(0, at);
  };
  const stream = new Duplex({
    read() {
      asked = true;
      events.onResume();
    },
    write: (chunk: Buffer, _encoding, done) => outbox.send(chunk, done),
    // One write is one exit of the virtual machine: HTTP/2 hands over a frame in several pieces.
    writev: (pieces, done) => outbox.send(joined(pieces as { chunk: Buffer }[]), done),
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
      // Handed on at once, or kept: then it must not change any more.
      const passes = asked && stream.readableFlowing === true && stream.readableLength === 0;
      if (!calls.over) return stream.push(passes ? chunk : Buffer.from(chunk));
      end();
      return true;
    },
    room: outbox.room,
    end,
  };
}
