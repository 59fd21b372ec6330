import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";

/** The project's root. */
export const PROJECT = dirname(dirname(import.meta.dirname));

/** What the set-up leaves below `build/`. */
export const BUILT = {
  crictl: `${PROJECT}/build/bin/crictl`,
  shim: `${PROJECT}/build/shim`,
  guest: `${PROJECT}/build/guest`,
  /** Made by the first pod of all tests, for all of them; another checkout's tests have another one. */
  factory: `/dev/shm/tapir-test-${createHash("sha256").update(PROJECT).digest("hex").slice(0, 8)}`,
} as const;

/** `path` when it is there; else an error that names the set-up. */
export function built(path: string): string {
  if (existsSync(path)) return path;
  throw new TapirError({
    code: Code.NOT_FOUND,
    operation: "find",
    object: path,
    cause: "it is not there",
    hint: "run setup/setup.sh",
  });
}
