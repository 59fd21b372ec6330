import type { Language, Turn } from "./turn.ts";

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
 * Serves one host after the other, for as long as the port lives, each in the language that it begins to speak.
 *
 * A turn ends when the host disconnects, or by itself. What a host says may come before the news that it is there (they have
 * queues of their own): nobody can have gone who was not there yet. A guest that slept (a template that was saved and
 * restored, a loaded machine) can miss that the host went and came back; then the new host's first words, at the start of a
 * read and where the old one's turn can end, tell. Nothing old reaches a new one: bytes outside a turn are dropped, and a
 * turn that is over writes no more, not even the goodbye that HTTP/2 would answer with: the next host would take it for its own.
 */
export async function serveHosts(port: Port, languages: readonly Language[]): Promise<void> {
  const buffer = Buffer.alloc(READ_BYTES);
  let current: { readonly turn: Turn; hostSeen: boolean } | undefined;
  let held = false;
  let roomWanted = false;
  const outgoing = {
    write: (bytes: Buffer) => port.write(bytes),
    waitForRoom: () => {
      roomWanted = true;
      port.watchRoom(true);
    },
  };

  const begin = (language: Language): void => {
    const turn: Turn = language.open(outgoing, {
      onResume: () => {
        if (current?.turn !== turn || !held) return;
        held = false;
        // Not from within the reader's own call: that could hand it bytes out of order.
        queueMicrotask(drain);
      },
      onEnd: () => {
        if (current?.turn !== turn) return;
        current = undefined;
        held = false;
        // What the reader did not want any more must still be taken off the port.
        queueMicrotask(drain);
      },
    });
    current = { turn, hostSeen: false };
  };

  const finish = (): void => {
    const ended = current;
    current = undefined;
    held = false;
    ended?.turn.end();
  };

  /** Hands on what one host said. */
  const take = (said: Buffer): void => {
    if (current === undefined || said.length === 0) return;
    const more = current.turn.receive(said);
    // What it said may have ended its turn.
    held = current !== undefined && !more;
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
        const language = languages.find(({ begins }) => begins(piece));
        if (language === undefined) continue;
        take(buffer.subarray(0, length - count));
        if (current === undefined || current.turn.atBoundary) {
          finish();
          begin(language);
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
    current?.turn.room();
  }
  finish();
}
