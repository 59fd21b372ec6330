import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DeleteResponse } from "../proto/gen/containerd/task/task.ts";
import { type ExitRecord, exitFile, stateDirectoryFile } from "./bundle-files.ts";

/** The file by which shim/launch.sh answers `delete` alone. */
const DELETED = "deleted";

/** The answer to `delete`. */
export function deleteResponse({ pid, status, exitedAtMs }: ExitRecord): Uint8Array {
  return DeleteResponse.encode({ pid, exitStatus: status, exitedAt: new Date(exitedAtMs) }).finish();
}

/** Leaves the answer to `delete` in the bundle, when there is nothing that `delete` would have to undo. Never throws. */
export function writeDeleted(bundle: string): void {
  try {
    const exit = exitFile.read(bundle);
    const directory = stateDirectoryFile.read(bundle);
    if (exit === undefined || directory === undefined || existsSync(directory)) return;
    writeFileSync(join(bundle, DELETED), deleteResponse(exit), { mode: 0o600 });
  } catch {
    // The bundle is gone, or half written: `delete` looks for itself.
  }
}
