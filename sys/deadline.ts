import { TapirError } from "./error.ts";
import { Code } from "./status.ts";

/**
 * A point in time that a chain of waits shares. It is made once, where a job comes in, and handed down;
 * nobody below invents a longer one.
 */
export interface Deadline {
  /** What must be done by then; used in the error: "start sandbox abc". */
  readonly job: string;
  /** Aborts when the time is up or the parent aborted; its reason is a TapirError. */
  readonly signal: AbortSignal;
  /** Milliseconds left, never below 0. */
  remainingMs(): number;
  /** Whether whoever it was made for gave up, or had no time left; its own time may not be up then. */
  calledOff(): boolean;
  /** A deadline for a part of the job: at most `milliseconds`, never later than this one. */
  within(milliseconds: number, job: string): Deadline;
  /** Resolves or rejects with `work`, or rejects when the time is up. `work` itself goes on: let it watch `signal`. */
  race<T>(work: Promise<T>): Promise<T>;
}

/**
 * A deadline `milliseconds` from now; also ended by `parent`. The timer does not keep the process alive; disposing stops
 * it, for whoever wants nothing to run then.
 */
export function deadlineIn(milliseconds: number, job: string, parent?: AbortSignal): Deadline & Disposable {
  return deadlineUnder({ signal: () => parent, aborted: () => parent?.aborted === true }, milliseconds, job);
}

/** What ends a deadline before its time. */
interface Above {
  signal(): AbortSignal | undefined;
  aborted(): boolean;
}

/** Timer and signal are made when somebody asks for the signal: most work is done before anybody waits. */
function deadlineUnder(above: Above, milliseconds: number, job: string): Deadline & Disposable {
  const endMs = performance.now() + milliseconds;
  let timer: NodeJS.Timeout | undefined;
  let made: AbortSignal | undefined;
  const make = (): AbortSignal => {
    const timeout = new AbortController();
    const leftMs = endMs - performance.now();
    const end = (): void => timeout.abort(expired(job, milliseconds));
    if (leftMs > 0) timer = setTimeout(end, leftMs).unref();
    else end();
    const parent = above.signal();
    return parent === undefined ? timeout.signal : AbortSignal.any([timeout.signal, parent]);
  };
  const aborted = (): boolean => made?.aborted ?? above.aborted();
  const deadline: Deadline & Disposable = {
    job,
    get signal() {
      made ??= make();
      return made;
    },
    remainingMs: () => (aborted() ? 0 : Math.max(0, endMs - performance.now())),
    calledOff: above.aborted,
    within: (partMs, partJob) =>
      deadlineUnder(
        { signal: () => deadline.signal, aborted },
        Math.min(partMs, deadline.remainingMs()),
        partJob,
      ),
    race: (work) => raceSignal(work, deadline.signal),
    [Symbol.dispose]: () => clearTimeout(timer),
  };
  return deadline;
}

function expired(job: string, milliseconds: number): TapirError {
  return new TapirError({
    code: Code.DEADLINE_EXCEEDED,
    operation: "finish",
    object: job,
    cause: `not done within ${Math.round(milliseconds)} ms`,
  });
}

async function raceSignal<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason);
  if (signal.aborted) onAbort();
  else signal.addEventListener("abort", onAbort, { once: true });
  // The loser of the race must not become an unhandled rejection.
  promise.catch(() => undefined);
  work.catch(() => undefined);
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
