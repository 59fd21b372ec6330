import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";

/** What QEMU answered to a command it did not run. */
export interface QmpFailure {
  readonly command: string;
  /** "GenericError", "DeviceNotFound", "CommandNotFound", ... */
  readonly errorClass: string;
  readonly description: string;
}

const failures = new WeakMap<TapirError, QmpFailure>();

/** A TapirError that says what QEMU said; `qmpFailureOf` gives the parts back. */
export function qmpError(failure: QmpFailure): TapirError {
  const error = new TapirError({
    code: codeOfFailure(failure),
    operation: "run",
    object: `QMP command ${failure.command}`,
    cause: `${failure.errorClass}: ${failure.description}`,
  });
  failures.set(error, failure);
  return error;
}

/** QEMU's answer, when `thrown` is one or was caused by one. */
export function qmpFailureOf(thrown: unknown): QmpFailure | undefined {
  if (!(thrown instanceof TapirError)) return undefined;
  return failures.get(thrown) ?? qmpFailureOf(thrown.cause);
}

function codeOfFailure({ errorClass, description }: QmpFailure): Code {
  switch (errorClass) {
    case "DeviceNotFound":
      return Code.NOT_FOUND;
    case "CommandNotFound":
      return Code.UNIMPLEMENTED;
    default:
      return /^Duplicate (device )?ID/i.test(description) ? Code.ALREADY_EXISTS : Code.FAILED_PRECONDITION;
  }
}
