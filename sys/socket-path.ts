import { TapirError } from "./error.ts";
import { Code } from "./status.ts";

/** sun_path of unix(7), without its final zero. */
const MAX_BYTES = 107;

/** Throws INVALID_ARGUMENT for a path that no unix socket can have; `hint` says what makes it shorter. */
export function checkSocketPath(path: string, hint: string): void {
  const bytes = Buffer.byteLength(path);
  if (bytes <= MAX_BYTES) return;
  throw new TapirError({
    code: Code.INVALID_ARGUMENT,
    operation: "listen on",
    object: path,
    cause: `the path has ${bytes} bytes, a unix socket may have ${MAX_BYTES}`,
    hint,
  });
}
