import { errnoOf, TapirError } from "../sys/error.ts";
import { Code } from "../sys/status.ts";

/** The kernel's answers to a kind of qdisc, filter or action that it has not, and to traffic control when it has none. */
const UNKNOWN_KIND: readonly string[] = ["ENOENT", "EOPNOTSUPP"];

/** The error with what to load, where it says that the kernel does not know what was asked for; else as it is. */
export function explainMissing(
  error: unknown,
  what: { readonly operation: string; readonly object: string; readonly modules: string },
): unknown {
  if (!UNKNOWN_KIND.includes(errnoOf(error) ?? "")) return error;
  const { operation, object, modules } = what;
  const hint = `load the kernel module: modprobe ${modules} (tapir check network names all that is missing)`;
  return new TapirError({ code: Code.FAILED_PRECONDITION, operation, object, cause: error, hint });
}
