import { Metadata } from "@grpc/grpc-js";
import { codeOf, errnoOf, reasonOf, TapirError } from "../sys/error.ts";
import { Code } from "../sys/status.ts";

/** What grpc-js sends as status and trailers. */
export interface ServiceStatus {
  readonly code: Code;
  readonly details: string;
  readonly metadata: Metadata;
}

/** Longer texts are cut: trailers are headers, and the host bounds those. */
const MAX_TEXT = 2048;

/**
 * Anything thrown as gRPC status. A TapirError's operation, object and errno travel as `tapir-operation`,
 * `tapir-object` and `tapir-errno`; the text is then the cause and the way out only, for the host to put the
 * sentence together again with its own place.
 */
export function toStatus(thrown: unknown): ServiceStatus {
  const metadata = new Metadata();
  const errno = errnoOf(thrown);
  if (errno !== undefined) metadata.set("tapir-errno", errno);
  if (!(thrown instanceof TapirError)) {
    const known = codeOf(thrown);
    const code = known === Code.UNKNOWN ? Code.INTERNAL : known;
    return { code, details: cut(reasonOf(thrown)), metadata };
  }
  metadata.set("tapir-operation", headerText(thrown.operation));
  metadata.set("tapir-object", headerText(thrown.object));
  const cause = thrown.cause === undefined ? [] : [reasonOf(thrown.cause)];
  const hint = thrown.hint === undefined ? [] : [thrown.hint];
  return { code: thrown.code, details: cut([...cause, ...hint].join("; ")), metadata };
}

/** Header values are printable ASCII (gRPC over HTTP/2, "ASCII-Value"). */
function headerText(text: string): string {
  return cut(text).replace(/[^\x20-\x7e]/g, "?");
}

function cut(text: string): string {
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}...` : text;
}
