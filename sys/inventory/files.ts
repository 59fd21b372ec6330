import { join } from "node:path";
import { readEntries } from "./read.ts";
import type { Things } from "./things.ts";

/** Everything below the given directories, each with its kind. A directory that is not there has nothing in it. */
export function listFiles(roots: readonly string[]): Things {
  return Object.fromEntries(roots.flatMap(below));
}

function below(path: string): [string, string][] {
  return readEntries(path).flatMap((entry) => {
    const own = join(path, entry.name);
    if (entry.isDirectory()) return [[own, "directory"] as [string, string], ...below(own)];
    const kind = entry.isSocket()
      ? "socket"
      : entry.isFIFO()
        ? "fifo"
        : entry.isSymbolicLink()
          ? "link"
          : "file";
    return [[own, kind] as [string, string]];
  });
}
