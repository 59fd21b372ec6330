import type { Socket } from "node:net";

export interface InputListener {
  /** There is room again. */
  room(): void;
  /** Nobody reads any more. */
  closed(): void;
}

/** What goes into a process. */
export interface Input {
  readonly closed: boolean;
  listen(listener: InputListener): void;
  leave(): void;
  /** False: wait for `room`. What comes after the end, or when nobody reads, is dropped. */
  write(chunk: Buffer): boolean;
  /** Ends the input behind what was written. */
  end(): void;
  close(): void;
}

/** Writes into a pipe, which it owns. */
export function pipeInput(socket: Socket): Input {
  return input(socket, (last) => {
    // Not `end`: that would shut a socket down, which a pipe is not.
    socket.write(Buffer.alloc(0), last);
  });
}

/** Writes into a terminal, which its reader owns; it has no end, as a keyboard has none. */
export function terminalInput(socket: Socket): Input {
  return input(socket, undefined);
}

function input(socket: Socket, finish: ((last: () => void) => void) | undefined): Input {
  let listener: InputListener | undefined;
  let closed = false;
  let ending = false;

  const onClosed = (): void => {
    if (closed) return;
    closed = true;
    listener?.closed();
  };
  socket.on("drain", () => listener?.room());
  // EPIPE: the process closed its end.
  socket.on("error", onClosed);
  socket.on("close", onClosed);

  return {
    get closed() {
      return closed;
    },
    listen(next) {
      listener = next;
      if (closed) next.closed();
    },
    leave() {
      listener = undefined;
    },
    write: (chunk) => closed || ending || socket.write(chunk),
    end() {
      if (closed || ending || finish === undefined) return;
      ending = true;
      finish(() => socket.destroy());
    },
    close: () => {
      socket.destroy();
    },
  };
}
