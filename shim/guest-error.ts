import type { ServiceError } from "@grpc/grpc-js";
import { isErrnoName } from "../sys/errno.ts";
import { TapirError } from "../sys/error.ts";
import type { Code } from "../sys/status.ts";

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

/** What the guest said, with its own operation, object and errno when it sent them (agent/status.ts). */
export function failureError(operation: string, { code, details, metadata }: GuestFailure): TapirError {
  const field = (name: string): string | undefined => metadata[`tapir-${name}`]?.toString();
  const errno = field("errno");
  return new TapirError({
    code: code as Code,
    operation: field("operation") ?? operation,
    object: field("object") === undefined ? "the guest" : `${field("object")} in the guest`,
    cause: details,
    ...(errno !== undefined && isErrnoName(errno) ? { errno } : {}),
  });
}
