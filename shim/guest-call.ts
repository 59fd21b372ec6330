import { type CallOptions, type ClientUnaryCall, Metadata, type ServiceError } from "@grpc/grpc-js";
import type { Deadline } from "../sys/deadline.ts";
import { Code } from "../sys/status.ts";
import { guestError } from "./guest-error.ts";

type UnaryMethod<Request, Response> = (
  request: Request,
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, response: Response) => void,
) => ClientUnaryCall;

/** One question to the guest. Ends with the deadline, and with its signal. Every error is a TapirError. */
export function unary<Request, Response>(
  operation: string,
  method: UnaryMethod<Request, Response>,
  request: Request,
  deadline: Deadline,
): Promise<Response> {
  const limit = { deadline: Date.now() + deadline.remainingMs() };
  return call(operation, method, request, limit, deadline.signal);
}

/** As `unary`, for an answer that may take for ever: only `signal` ends the wait. */
export function unaryUntil<Request, Response>(
  operation: string,
  method: UnaryMethod<Request, Response>,
  request: Request,
  signal: AbortSignal,
): Promise<Response> {
  return call(operation, method, request, {}, signal);
}

function call<Request, Response>(
  operation: string,
  method: UnaryMethod<Request, Response>,
  request: Request,
  options: Partial<CallOptions>,
  signal: AbortSignal,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    const cancel = (): void => running.cancel();
    const running = method(request, new Metadata(), options, (error, response) => {
      signal.removeEventListener("abort", cancel);
      if (error === null) resolve(response);
      else reject(signal.aborted ? signal.reason : guestError(operation, notCancelled(error)));
    });
    if (signal.aborted) cancel();
    else signal.addEventListener("abort", cancel, { once: true });
  });
}

/** Only the caller cancels, and it has not: the other end took the call back, as it does with all of them when it ends. */
function notCancelled(error: ServiceError): ServiceError {
  return error.code === Code.CANCELLED ? Object.assign(error, { code: Code.UNAVAILABLE }) : error;
}
