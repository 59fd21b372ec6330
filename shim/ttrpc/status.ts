/** The codes this folder itself answers with (grpc/doc/statuscodes.md). Handlers may use any other. */
export const StatusCode = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  RESOURCE_EXHAUSTED: 8,
  UNIMPLEMENTED: 12,
  UNAVAILABLE: 14,
} as const;

/** How a call ended; code 0 is success. */
export interface Status {
  readonly code: number;
  readonly message: string;
}

/** A call that ended with a status other than OK; handlers throw it to choose their status. */
export class TtrpcError extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.name = "TtrpcError";
    this.code = code;
  }
}

/** The status of anything a handler threw, unless the server was given a better translation. */
export function statusOf(thrown: unknown): Status {
  if (thrown instanceof TtrpcError) return { code: thrown.code, message: thrown.message };
  return { code: StatusCode.UNKNOWN, message: thrown instanceof Error ? thrown.message : String(thrown) };
}
