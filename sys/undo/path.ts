import { rmSync } from "node:fs";
import type { Undo } from "./entry.ts";

export function undoPath(entry: Extract<Undo, { kind: "directory" | "file" }>): void {
  rmSync(entry.path, { force: true, recursive: entry.kind === "directory" });
}
