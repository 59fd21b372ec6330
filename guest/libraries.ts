import { existsSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { TapirError } from "../sys/error.ts";
import { Code } from "../sys/status.ts";
import { isElf, neededBy } from "./elf.ts";

/** Where Debian's packages put shared libraries, and where the loader of the guest looks for them. */
export const LIBRARY_FOLDER = "usr/lib/x86_64-linux-gnu";

const SEARCH = ["lib/x86_64-linux-gnu", LIBRARY_FOLDER, "lib64", "usr/lib64"];

/**
 * Every shared library that `programs` (paths) need, directly or not, found below `tree` (unpacked packages):
 * name to path. Throws when one is in no package.
 */
export function closeOverLibraries(programs: readonly string[], tree: string): Map<string, string> {
  const found = new Map<string, string>();
  const queue = [...programs];
  for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
    const image = readFileSync(path);
    if (!isElf(image)) continue;
    const { interpreter, libraries } = neededBy(image);
    const names = interpreter === undefined ? libraries : [basename(interpreter), ...libraries];
    for (const name of names) {
      if (found.has(name)) continue;
      const library = findLibrary(name, tree, path);
      found.set(name, library);
      queue.push(library);
    }
  }
  return new Map([...found].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function findLibrary(name: string, tree: string, neededByPath: string): string {
  const path = SEARCH.map((folder) => join(tree, folder, name)).find(existsSync);
  if (path !== undefined) return path;
  throw new TapirError({
    code: Code.NOT_FOUND,
    operation: "find",
    object: `shared library ${name}`,
    cause: `${basename(neededByPath)} needs it and no package of the image holds it`,
    hint: "add its package to guest/contents.ts",
  });
}
