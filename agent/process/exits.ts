/** How a process ended. */
export interface ProcessExit {
  /** 0 to 255; 128 + n when signal n ended it. */
  readonly status: number;
  /** The guest's wall clock. */
  readonly unixNanoseconds: bigint;
}

/**
 * Hands the exits of orphans to those who wait for them, each exactly once. A runtime leaves its container's process
 * behind and tells the pid afterwards; by then the process may have ended and been reaped.
 */
export interface Exits {
  /** For the reaper: an orphan ended with this status (wait(2)). */
  ended(pid: number, status: number): void;
  /** To be called before a program starts that may leave a process behind; disposed when its pids are claimed. */
  expect(): Expectation;
}

export interface Expectation extends Disposable {
  /** Calls `listener` when the process has ended, at once if it has already. */
  claim(pid: number, listener: (exit: ProcessExit) => void): void;
}

export function createExits(): Exits {
  const waiting = new Map<number, (exit: ProcessExit) => void>();
  /** Exits that nobody waits for yet, kept while somebody may ask for them. */
  const early = new Map<number, ProcessExit>();
  let expectations = 0;
  return {
    ended(pid, status) {
      const exit = { status: exitStatus(status), unixNanoseconds: BigInt(Date.now()) * 1_000_000n };
      const listener = waiting.get(pid);
      if (listener !== undefined) {
        waiting.delete(pid);
        listener(exit);
      } else if (expectations > 0) early.set(pid, exit);
    },
    expect() {
      expectations++;
      let open = true;
      return {
        claim(pid, listener) {
          const exit = early.get(pid);
          if (exit === undefined) waiting.set(pid, listener);
          else {
            early.delete(pid);
            listener(exit);
          }
        },
        [Symbol.dispose]() {
          if (!open) return;
          open = false;
          expectations--;
          if (expectations === 0) early.clear();
        },
      };
    },
  };
}

/** As shells and container runtimes count (wait(2), WIFSIGNALED). */
export function exitStatus(status: number): number {
  const signal = status & 0x7f;
  return signal === 0 ? (status >> 8) & 0xff : 128 + signal;
}
