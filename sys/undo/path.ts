import { rmSync } from "node:fs";
import { removeTree } from "../remove.ts";
import type { Undo } from "./entry.ts";

export function undoPath(entry: Extract<Undo, { kind: "directory" | "file" }>): void {
  if (entry.kind === "directory") removeTree(entry.path);
  else rmSync(entry.path, { force: true });
}
