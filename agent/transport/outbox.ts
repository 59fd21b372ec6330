/** Where the bytes of a host's turn go; answers how many were taken, -1 for "full, ask again when there is room". */
export interface OutgoingPort {
  write(bytes: Buffer): number;
  /** Asks for `Outbox.room` to be called, once. */
  waitForRoom(): void;
}

/** What is written to a port that takes only as much as it has room for. One piece at a time. */
export interface Outbox {
  /** `done` is called when the port has taken everything, or with what was thrown. */
  send(bytes: Buffer, done: (error?: Error | null) => void): void;
  /** There is room to write again. */
  room(): void;
  /** Forgets what is not written yet; its `done` is not called. */
  drop(): void;
}

export function createOutbox(port: OutgoingPort): Outbox {
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
  const room = (): void => {
    const { done } = unwritten ?? {};
    try {
      flush();
    } catch (error) {
      unwritten = undefined;
      done?.(error as Error);
    }
  };
  return {
    send(bytes, done) {
      unwritten = { bytes, done };
      room();
    },
    room,
    drop: () => {
      unwritten = undefined;
    },
  };
}
