import { encodeFrame, readFrame, startsWithGreeting } from "../../proto/greeting.ts";
import { createOutbox, type OutgoingPort } from "./outbox.ts";
import type { Language, Turn, TurnEvents } from "./turn.ts";

/** Answers one message. Never rejects; `signal` aborts when nobody waits for the answer any more. */
export type Greet = (message: Buffer, signal: AbortSignal) => Promise<Uint8Array>;

/** One message from the host and one back, without HTTP/2 (Greeting in agent.proto). */
export function greetings(greet: Greet): Language {
  return {
    begins: startsWithGreeting,
    open: (port, events) => createGreeting(port, events, greet),
  };
}

function createGreeting(port: OutgoingPort, { onEnd }: TurnEvents, greet: Greet): Turn {
  const frame = readFrame();
  const outbox = createOutbox(port);
  const gone = new AbortController();
  const end = (): void => {
    gone.abort();
    outbox.drop();
    onEnd();
  };
  const answer = async (message: Buffer): Promise<void> => {
    const bytes = encodeFrame(await greet(message, gone.signal));
    if (!gone.signal.aborted) outbox.send(bytes, end);
  };
  let answering = false;
  return {
    // A host has nothing to add to its greeting.
    atBoundary: true,
    receive(chunk) {
      if (answering) return true;
      try {
        const message = frame.pass(chunk);
        answering = message !== undefined;
        if (message !== undefined) void answer(message);
      } catch {
        end();
      }
      return true;
    },
    room: outbox.room,
    end,
  };
}
