import { renameSync, writeFileSync } from "node:fs";

/** Writes a file in the place of the one that is there. Atomic: a reader sees all of the one or all of the other (rename(2)). */
export function replaceFile(path: string, content: string, mode: number): void {
  writeFileSync(`${path}.new`, content, { mode });
  renameSync(`${path}.new`, path);
}
