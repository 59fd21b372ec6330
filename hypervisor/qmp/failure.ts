import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";

/** What QEMU answered to a command it did not run. */
export interface QmpFailure {
  readonly command: string;
  /** "GenericError", "DeviceNotFound", "CommandNotFound", ... */
  readonly errorClass: string;
  readonly description: string;
}

/** Nearly all that QEMU refuses is a GenericError: what has to be told apart is told by its words, those of QEMU 7.2.22. */
const WORDS = {
  duplicate: /^Duplicate (device )?ID/i,
  gone: /not found|failed to find/i,
  unplugging: /already in the process of unplug/,
};

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

/** What was to be removed is not there (any more). Devices and netdevs have a class for it, chardevs, nodes and descriptors words. */
export function isGone(failure: QmpFailure): boolean {
  return failure.errorClass === "DeviceNotFound" || WORDS.gone.test(failure.description);
}

/** The guest was asked to let go of the device before and has not answered. */
export function isUnplugging(failure: QmpFailure): boolean {
  return WORDS.unplugging.test(failure.description);
}

function codeOfFailure({ errorClass, description }: QmpFailure): Code {
  switch (errorClass) {
    case "DeviceNotFound":
      return Code.NOT_FOUND;
    case "CommandNotFound":
      return Code.UNIMPLEMENTED;
    default:
      return WORDS.duplicate.test(description) ? Code.ALREADY_EXISTS : Code.FAILED_PRECONDITION;
  }
}
