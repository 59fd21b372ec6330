import type { CommandFailure } from "../../proto/gen/tapir/agent/v1/container.ts";
import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import { guestExit, guestText } from "../guest-bounds.ts";

export function notHere(object: string, cause = "it is not here"): TapirError {
  return new TapirError({ code: Code.NOT_FOUND, operation: "find", object, cause });
}

export function alreadyThere(object: string, cause: string): TapirError {
  return new TapirError({ code: Code.ALREADY_EXISTS, operation: "create", object, cause });
}

/** The verb cannot be done in the state that `cause` names. */
export function notNow(operation: string, object: string, cause: string, hint?: string): TapirError {
  const way = hint === undefined ? {} : { hint };
  return new TapirError({ code: Code.FAILED_PRECONDITION, operation, object, cause, ...way });
}

export function invalid(operation: string, object: string, cause: string): TapirError {
  return new TapirError({ code: Code.INVALID_ARGUMENT, operation, object, cause });
}

export function givenUp(object: string): TapirError {
  const cause = "it was told to stop while it was starting";
  return new TapirError({ code: Code.CANCELLED, operation: "create", object, cause });
}

/** The status is runc's (UNKNOWN), and the words are crun's: clients look for "not found" and "permission denied". */
export function commandFailed(object: string, { exitStatus, reason }: CommandFailure): TapirError {
  const cause = `${guestText(reason)} (exit status ${guestExit(exitStatus)})`;
  return new TapirError({ code: Code.UNKNOWN, operation: "run", object, cause });
}
