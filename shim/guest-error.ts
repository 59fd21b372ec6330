import type { ServiceError } from "@grpc/grpc-js";
import { isErrnoName } from "../sys/errno.ts";
import { TapirError } from "../sys/error.ts";
import type { Code } from "../sys/status.ts";

/** What the guest said, with its own operation, object and errno when it sent them (agent/status.ts). */
export function guestError(operation: string, error: ServiceError): TapirError {
  const field = (name: string): string | undefined => error.metadata.get(`tapir-${name}`)[0]?.toString();
  const errno = field("errno");
  return new TapirError({
    code: error.code as Code,
    operation: field("operation") ?? operation,
    object: field("object") === undefined ? "the guest" : `${field("object")} in the guest`,
    cause: error.details,
    ...(errno !== undefined && isErrnoName(errno) ? { errno } : {}),
  });
}
