import { readFileSync } from "node:fs";
import { deadlineIn } from "../../sys/deadline.ts";
import { run } from "../harness/run.ts";

/** Ids of the machine's System V shared memory segments (sysvipc, the second column). */
export function segments(): readonly string[] {
  const [, ...lines] = readFileSync("/proc/sysvipc/shm", "utf8").trimEnd().split("\n");
  return lines.map((line) => line.trim().split(/\s+/)[1] ?? "");
}

/** Removes segments; one that is gone already is fine. */
export async function removeSegments(ids: readonly string[]): Promise<void> {
  const deadline = deadlineIn(10_000, "remove shared memory segments");
  for (const id of ids) await run({ command: "ipcrm", args: ["-m", id], deadline });
}
