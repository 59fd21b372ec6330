import { type ErrnoName, errnoNumber, isErrnoName } from "./errno.ts";
import { Code } from "./status.ts";

/** What every error of Tapir says: the sentence is built from these, never parsed back. */
export interface ErrorDetails {
  /** gRPC status; the RPC edges send it unchanged. */
  readonly code: Code;
  /** Verb in the infinitive: "attach", "read", "start". */
  readonly operation: string;
  /** What it was done to, with its place: `eth0 of netns /run/netns/cni-1`. */
  readonly object: string;
  /** Why it failed: a sentence or the error that came from below. */
  readonly cause?: unknown;
  /** The way out, when there is one. */
  readonly hint?: string;
  /** errno name when the kernel (of host or guest) said no. */
  readonly errno?: ErrnoName;
}

/**
 * The one error class. Its message reads
 * `cannot <operation> <object>: <cause>; <hint>`.
 */
export class TapirError extends Error {
  readonly code: Code;
  readonly operation: string;
  readonly object: string;
  readonly hint: string | undefined;
  readonly errno: ErrnoName | undefined;

  constructor(details: ErrorDetails) {
    const reason = details.cause === undefined ? "" : `: ${reasonOf(details.cause)}`;
    const hint = details.hint === undefined ? "" : `; ${details.hint}`;
    super(`cannot ${details.operation} ${details.object}${reason}${hint}`, { cause: details.cause });
    this.name = "TapirError";
    this.code = details.code;
    this.operation = details.operation;
    this.object = details.object;
    this.hint = details.hint;
    this.errno = details.errno ?? errnoOf(details.cause);
  }
}

/** The message of anything thrown. */
export function reasonOf(thrown: unknown): string {
  if (thrown instanceof AggregateError && thrown.errors.length > 0) {
    return thrown.errors.map(reasonOf).join("; ");
  }
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** The errno name of a Node system error or a TapirError, if it carries one. */
export function errnoOf(thrown: unknown): ErrnoName | undefined {
  if (thrown instanceof TapirError) return thrown.errno;
  if (typeof thrown !== "object" || thrown === null || !("code" in thrown)) return undefined;
  return typeof thrown.code === "string" && isErrnoName(thrown.code) ? thrown.code : undefined;
}

/** Whether this process (EMFILE) or the machine (ENFILE) is out of descriptors: of what was thrown, or of what caused it. */
export function isOutOfDescriptors(thrown: unknown): boolean {
  const errno = errnoOf(thrown);
  if (errno === "EMFILE" || errno === "ENFILE") return true;
  if (thrown instanceof AggregateError && thrown.errors.some(isOutOfDescriptors)) return true;
  return thrown instanceof Error && thrown.cause !== undefined && isOutOfDescriptors(thrown.cause);
}

/**
 * The gRPC status of anything thrown: a TapirError's own, of several errors the first one's, else the one that its errno stands
 * for, else UNKNOWN.
 */
export function codeOf(thrown: unknown): Code {
  if (thrown instanceof TapirError) return thrown.code;
  if (thrown instanceof AggregateError && thrown.errors.length > 0) return codeOf(thrown.errors[0]);
  const errno = errnoOf(thrown);
  return errno === undefined ? Code.UNKNOWN : codeOfErrno(errno);
}

/** Wraps anything thrown with operation and object; keeps the status it stood for unless one is given. */
export function wrapError(
  thrown: unknown,
  details: Omit<ErrorDetails, "code" | "cause"> & { code?: Code },
): TapirError {
  return new TapirError({ ...details, code: details.code ?? codeOf(thrown), cause: thrown });
}

/** The gRPC status that fits an errno (the table of containerd's errdefs and of Go's os package). */
function codeOfErrno(errno: ErrnoName): Code {
  switch (errno) {
    case "ENOENT":
    case "ESRCH":
    case "ENODEV":
    case "ENXIO":
      return Code.NOT_FOUND;
    case "EEXIST":
      return Code.ALREADY_EXISTS;
    case "EACCES":
    case "EPERM":
      return Code.PERMISSION_DENIED;
    case "EINVAL":
    case "ERANGE":
    case "ENOTDIR":
    case "EISDIR":
    case "ENAMETOOLONG":
    case "EAFNOSUPPORT":
      return Code.INVALID_ARGUMENT;
    case "ENOMEM":
    case "ENOSPC":
    case "EMFILE":
    case "ENFILE":
    case "EDQUOT":
      return Code.RESOURCE_EXHAUSTED;
    case "EBUSY":
      return Code.FAILED_PRECONDITION;
    case "EOPNOTSUPP":
    case "ENOSYS":
      return Code.UNIMPLEMENTED;
    case "ETIMEDOUT":
      return Code.DEADLINE_EXCEEDED;
    case "ECONNREFUSED":
    case "ECONNRESET":
    case "EPIPE":
    case "ENOTCONN":
      return Code.UNAVAILABLE;
    default:
      return Code.UNKNOWN;
  }
}

/** An error for a system call that returned `-1` (or a netlink answer) with this positive errno. */
export function systemError(
  errno: number | ErrnoName,
  details: Omit<ErrorDetails, "code" | "cause" | "errno"> & { cause?: string },
): TapirError {
  const name = typeof errno === "number" ? errnoNumber.nameOf(errno) : errno;
  const text = errnoNumber.textOf(name);
  return new TapirError({
    ...details,
    code: codeOfErrno(name),
    cause: details.cause === undefined ? `${name} (${text})` : `${name} (${text}): ${details.cause}`,
    errno: name,
  });
}
