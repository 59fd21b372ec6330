import { readdirSync, rmdirSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import type { Deadline } from "../deadline.ts";
import { errnoOf, wrapError } from "../error.ts";
import type { Undo } from "./entry.ts";

const AGAIN_MS = 20;

/**
 * Removes a cgroup that Tapir made. One in which somebody else has made cgroups stays: it is theirs now. Processes leave
 * a cgroup a moment after their end, and nothing tells when on version 1.
 */
export async function undoCgroup(
  { path }: Extract<Undo, { kind: "cgroup" }>,
  deadline: Deadline,
): Promise<void> {
  for (;;) {
    try {
      return rmdirSync(path);
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === "ENOENT" || (errno === "EBUSY" && hasChildren(path))) return;
      if (errno !== "EBUSY" || deadline.remainingMs() <= AGAIN_MS) {
        throw wrapError(error, { operation: "remove", object: `cgroup ${path}` });
      }
      await pause(AGAIN_MS);
    }
  }
}

function hasChildren(path: string): boolean {
  try {
    return readdirSync(path, { withFileTypes: true }).some((entry) => entry.isDirectory());
  } catch {
    return false;
  }
}
