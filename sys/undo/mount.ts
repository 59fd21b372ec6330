import { unmount } from "../mount.ts";
import type { Undo } from "./entry.ts";

export function undoMount(entry: Extract<Undo, { kind: "mount" }>): void {
  unmount(entry.target);
}
