import type { handleUnaryCall } from "@grpc/grpc-js";
import { type Deadline, deadlineIn } from "../sys/deadline.ts";
import { reasonOf, TapirError } from "../sys/error.ts";
import { Code } from "../sys/status.ts";
import { log } from "./log.ts";
import { toStatus } from "./status.ts";

/** For a caller that gave no deadline of its own. */
const USUAL_DEADLINE_MS = 60_000;
/** The longest that a timer can wait (24 days): what is more fires at once. */
const LONGEST_MS = 2 ** 31 - 1;

/** What a method gets besides its request. */
export interface Call {
  readonly deadline: Deadline;
  /** Monotonic time (hrtime) of the request's arrival. */
  readonly arrived: bigint;
}

export type Method<Request, Response> = (request: Request, call: Call) => Response | Promise<Response>;

/** A method as grpc-js wants it: with the caller's deadline, and errors as status. */
export function unary<Request, Response>(
  name: string,
  method: Method<Request, Response>,
): handleUnaryCall<Request, Response> {
  return withDeadline(name, method, USUAL_DEADLINE_MS);
}

/** As `unary`, but a caller without deadline waits for as long as a timer can, and has to ask again after that. */
export function unaryWithoutLimit<Request, Response>(
  name: string,
  method: Method<Request, Response>,
): handleUnaryCall<Request, Response> {
  return withDeadline(name, method, LONGEST_MS);
}

function withDeadline<Request, Response>(
  name: string,
  method: Method<Request, Response>,
  usualMs: number,
): handleUnaryCall<Request, Response> {
  return (call, callback) => {
    const arrived = process.hrtime.bigint();
    const cancelled = new AbortController();
    call.on("cancelled", () => cancelled.abort(cancellation(name)));
    // Read now: the method may set the clock that this is measured with.
    const leftMs = Number(call.getDeadline()) - Date.now();
    // Past already, and not cancelled: the clock was set after the call's arrival, or the guest did not run. gRPC's own timer cancels.
    const waitMs = Number.isFinite(leftMs) && leftMs > 0 ? Math.min(leftMs, LONGEST_MS) : usualMs;
    const deadline = deadlineIn(waitMs, name, cancelled.signal);
    const running = run(method, call.request, { deadline, arrived });
    // A template is saved with what still waits: nothing of one pod's start may be left for another's.
    running.finally(() => deadline[Symbol.dispose]()).catch(() => undefined);
    running.then(
      (response) => callback(null, response),
      (error) => {
        log("call failed", { method: name, error: reasonOf(error) });
        callback(toStatus(error));
      },
    );
  };
}

/** Also turns what a method throws at once into a rejection. */
async function run<Request, Response>(
  method: Method<Request, Response>,
  request: Request,
  call: Call,
): Promise<Response> {
  return method(request, call);
}

/** One after the other, in the order in which they came: two of them at once would undo each other's work. */
export function inTurn(): <Request, Response>(
  method: Method<Request, Response>,
) => Method<Request, Response> {
  let last: Promise<unknown> = Promise.resolve();
  return (method) => async (request, call) => {
    const before = last;
    const mine = before.then(() => {
      call.deadline.signal.throwIfAborted();
      return method(request, call);
    });
    last = mine.catch(() => undefined);
    return mine;
  };
}

function cancellation(name: string): TapirError {
  return new TapirError({
    code: Code.CANCELLED,
    operation: "finish",
    object: name,
    cause: "the host gave up",
  });
}
