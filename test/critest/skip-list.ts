import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";

/** A spec, or several, that a run leaves out. */
export interface Skip {
  /** The runtime handler it holds for, or all of them. */
  readonly handler: string;
  /** Matched with a spec's full name by ginkgo (RE2) and by us: keep to what both understand. */
  readonly pattern: RegExp;
  readonly reason: string;
}

/**
 * Reads the list of what is left out: one line each, `<handler or all> | <regular expression> | <reason>`; `#` starts
 * a comment. Throws on a line that says less: nothing is left out without a reason.
 */
export function readSkips(text: string, file: string): readonly Skip[] {
  return text.split("\n").flatMap((line, index) => {
    if (line.trim() === "" || line.startsWith("#")) return [];
    const [handler, pattern, reason, ...more] = line.split(" | ").map((part) => part.trim());
    if (!handler || !pattern || !reason || more.length > 0) {
      throw new TapirError({
        code: Code.INVALID_ARGUMENT,
        operation: "read",
        object: `${file}:${index + 1}`,
        cause: "not of the form 'handler | regular expression | reason'",
      });
    }
    return [{ handler, pattern: new RegExp(pattern), reason }];
  });
}

/** What holds for one handler. */
export function skipsOf(skips: readonly Skip[], handler: string): readonly Skip[] {
  return skips.filter((skip) => skip.handler === "all" || skip.handler === handler);
}

/** Those that match nothing the suite has: misspelt, or for a spec that is gone. */
export function staleSkips(
  skips: readonly Skip[],
  specs: readonly { readonly name: string }[],
): readonly Skip[] {
  return skips.filter(({ pattern }) => !specs.some(({ name }) => pattern.test(name)));
}
