import { rmSync } from "node:fs";
import { BUILT } from "./project.ts";

/** Removes the template that all test nodes of this checkout shared. */
export function removeTemplate(): void {
  for (const path of [BUILT.factory, `${BUILT.factory}.lock`]) rmSync(path, { recursive: true, force: true });
}
