import { readdirSync, rmSync } from "node:fs";
import { errnoOf } from "./error.ts";

/** Removes a directory with everything in it, or nothing when it is not there. Its errors have an errno. */
export function removeTree(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true });
  } catch (error) {
    // Node says by words alone that there are no descriptors left to walk the tree with; whoever reads it is told by name.
    if (errnoOf(error) === undefined) readdirSync(path);
    throw error;
  }
}
