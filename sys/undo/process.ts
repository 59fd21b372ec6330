import type { Deadline } from "../deadline.ts";
import { killProcess, type ProcessIdentity, searchByToken } from "../process.ts";
import type { Undo } from "./entry.ts";

export async function undoProcess(
  entry: Extract<Undo, { kind: "process" }>,
  deadline: Deadline,
): Promise<void> {
  const { pid, startTime, token } = entry;
  const targets: ProcessIdentity[] =
    pid === undefined || startTime === undefined ? await searchByToken(token) : [{ pid, startTime }];
  await Promise.all(targets.map((target) => killProcess(target, deadline)));
}
