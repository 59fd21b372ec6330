import { codeOf, reasonOf } from "../../sys/error.ts";
import { type Status, TtrpcError } from "../ttrpc/status.ts";

/** The ttrpc status of anything thrown: containerd decides by the code and shows the text. */
export function statusOfError(thrown: unknown): Status {
  if (thrown instanceof TtrpcError) return { code: thrown.code, message: thrown.message };
  return { code: codeOf(thrown), message: `tapir: ${reasonOf(thrown)}` };
}
