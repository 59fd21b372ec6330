import type { ServiceError } from "@grpc/grpc-js";
import { isErrnoName } from "../sys/errno.ts";
import { TapirError } from "../sys/error.ts";
import { guestCode, guestText } from "./guest-bounds.ts";

/** What the guest said by gRPC. */
export function guestError(operation: string, { code, details, metadata }: ServiceError): TapirError {
  return failureError(operation, { code, details, metadata: metadata.getMap() });
}

/** A status as gRPC has it. */
export interface GuestFailure {
  readonly code: number;
  readonly details: string;
  readonly metadata: Readonly<Record<string, string | Buffer>>;
}

/** What the guest said, with its own operation, object and errno when it sent them (agent/status.ts); bounded, and never OK. */
export function failureError(operation: string, { code, details, metadata }: GuestFailure): TapirError {
  const field = (name: string): string | undefined => {
    const said = metadata[`tapir-${name}`]?.toString();
    return said === undefined ? undefined : guestText(said, 256);
  };
  const errno = field("errno");
  return new TapirError({
    code: guestCode(code),
    operation: field("operation") ?? operation,
    object: field("object") === undefined ? "the guest" : `${field("object")} in the guest`,
    cause: guestText(details),
    ...(errno !== undefined && isErrnoName(errno) ? { errno } : {}),
  });
}
