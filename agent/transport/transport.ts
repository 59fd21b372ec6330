import type { Duplex } from "node:stream";
import { startsWithPreface } from "./http2-frames.ts";
import { followCalls, type OpenCalls } from "./open-calls.ts";
import { createSession, type Session } from "./session.ts";

/** A byte channel to a host that comes and goes without the channel being closed. */
export interface Port {
  /** Bytes put into `buffer`; 0: no host is connected, as far as the kernel has heard; -1: nothing to read now. */
  read(buffer: Buffer): number;
  /** Bytes taken; -1: no room now, or no host. */
  write(bytes: Buffer): number;
  /** Resolves at the next change (data, the host went, room when asked for); false when the port was closed. */
  changed(): Promise<boolean>;
  watchRoom(wanted: boolean): void;
}

/** What one read of a virtio port gives at most. */
const PAGE_BYTES = 4 << 10;
/** Handed on in one piece when it is there: HTTP/2 costs by the piece. */
const READ_BYTES = 64 << 10;

/**
 * Serves one HTTP/2 session after the other, for as long as the port lives: `accept` gets a fresh Duplex each
 * time a host begins to speak.
 *
 * A session ends when the host disconnects, or says goodbye (GOAWAY) and has its last answer. What a host says may
 * come before the news that it is there (they have queues of their own): nobody can have gone who was not there yet.
 * A guest that slept (a template that was saved and restored, a loaded machine) can miss that the host went and came
 * back; then the new client's preface, at the start of a read and at a frame's end of the old session, tells. Nothing old
 * reaches a new one: bytes outside a session are dropped, and an ended session writes no more, not even the
 * goodbye that HTTP/2 would answer with: the next client would take it for its own.
 */
export async function serveSessions(port: Port, accept: (stream: Duplex) => void): Promise<void> {
  const buffer = Buffer.alloc(READ_BYTES);
  let current: { session: Session; calls: OpenCalls; hostSeen: boolean } | undefined;
  let held = false;
  let roomWanted = false;

  const begin = (): void => {
    const calls = followCalls();
    const session: Session = createSession(
      {
        write: (bytes) => {
          const count = port.write(bytes);
          if (count > 0) calls.sent(bytes.subarray(0, count));
          // Not while the session is in the middle of this very write.
          if (calls.over) queueMicrotask(() => current?.session === session && finish());
          return count;
        },
        waitForRoom: () => {
          roomWanted = true;
          port.watchRoom(true);
        },
      },
      () => {
        if (current?.session !== session || !held) return;
        held = false;
        // Not from within the reader's own call: that could hand it bytes out of order.
        queueMicrotask(drain);
      },
      () => {
        if (current?.session !== session) return;
        current = undefined;
        held = false;
        // What the reader did not want any more must still be taken off the port.
        queueMicrotask(drain);
      },
    );
    current = { session, calls, hostSeen: false };
    accept(session.stream);
  };

  const finish = (): void => {
    const ended = current;
    current = undefined;
    held = false;
    ended?.session.end();
  };

  /** Hands on what one host said. */
  const take = (said: Buffer): void => {
    if (current === undefined || said.length === 0) return;
    current.calls.received(said);
    if (current.calls.over) finish();
    // The buffer is read into again.
    else held = !current.session.receive(Buffer.from(said));
  };

  const drain = (): void => {
    while (!held) {
      let length = 0;
      let count: number;
      do {
        count = port.read(buffer.subarray(length));
        if (count < 1) break;
        const piece = buffer.subarray(length, length + count);
        length += count;
        if (!startsWithPreface(piece)) continue;
        take(buffer.subarray(0, length - count));
        if (current === undefined || current.calls.atBoundary) {
          finish();
          begin();
        }
        take(piece);
        length = 0;
      } while (!held && length + PAGE_BYTES <= buffer.length);
      take(buffer.subarray(0, length));
      if (count === -1 && current !== undefined) current.hostSeen = true;
      if (count === 0 && current?.hostSeen !== false) finish();
      if (count < 1) return;
    }
  };

  drain();
  while (await port.changed()) {
    drain();
    if (!roomWanted) continue;
    roomWanted = false;
    port.watchRoom(false);
    current?.session.room();
  }
  finish();
}
