import { isAbsolute } from "node:path";
import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";

/** Where a standard stream comes from or goes to, as containerd names it. */
export type StdioAddress =
  | { readonly kind: "none" }
  /** A fifo; `fifo:` may be left out. A path that is something else is opened and written to. */
  | { readonly kind: "fifo"; readonly path: string }
  /** A file that output is appended to. */
  | { readonly kind: "file"; readonly path: string }
  /** A program that takes the output on descriptors 3 and 4. */
  | { readonly kind: "binary"; readonly path: string; readonly args: readonly string[] };

/** Reads `/path`, `fifo:///path`, `file:///path` or `binary:///path?name=value`. Throws INVALID_ARGUMENT. */
export function parseStdioAddress(text: string): StdioAddress {
  if (text === "") return { kind: "none" };
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(text)?.[1]?.toLowerCase();
  if (scheme === undefined) return { kind: "fifo", path: absolute(text, text) };
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined) throw refused(text, "it is no URI");
  const path = absolute(text, decodePath(text, url.pathname));
  switch (scheme) {
    case "fifo":
    case "file":
      return { kind: scheme, path };
    case "binary":
      return { kind: "binary", path, args: programArguments(url) };
    default:
      throw refused(text, `Tapir does not know "${scheme}:"`);
  }
}

/** Each name of the query once, in order, followed by its first value: `?id=7&debug=` gives `id 7 debug ""`. */
function programArguments(url: URL): string[] {
  return [...new Set(url.searchParams.keys())].flatMap((name) => [name, url.searchParams.get(name) ?? ""]);
}

function decodePath(text: string, path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    throw refused(text, "its path is not well encoded");
  }
}

function absolute(text: string, path: string): string {
  if (isAbsolute(path) && !path.includes("\0")) return path;
  throw refused(text, "its path is not absolute");
}

function refused(text: string, cause: string): TapirError {
  return new TapirError({
    code: Code.INVALID_ARGUMENT,
    operation: "open",
    object: `stream ${JSON.stringify(text)}`,
    cause,
    hint: "give a fifo's path, file:///PATH or binary:///PROGRAM",
  });
}
