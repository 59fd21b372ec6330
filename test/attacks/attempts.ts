import { deadlineIn } from "../../sys/deadline.ts";
import type { Workloads } from "../harness/workload.ts";

const ATTEMPTS_MS = 60_000;

/** What the kubelet asks for; the CRI has no defaults of its own. */
export const UNPRIVILEGED = {
  security_context: {
    masked_paths: ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
    readonly_paths: ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
  },
};

/** Runs attempts in a container; says of each whether it was `done` or `refused`, and with which words. */
export async function attempts(
  work: Workloads,
  id: string,
  tried: Readonly<Record<string, string>>,
): Promise<Record<string, string>> {
  const lines = Object.entries(tried).map(
    ([name, script]) =>
      `said=$( { ${script}; } 2>&1 ) && echo "${name}|done: $said" || echo "${name}|refused: $said"`,
  );
  const { stdout } = await work.execSync(
    id,
    ["sh", "-c", lines.join("\n")],
    deadlineIn(ATTEMPTS_MS, "attempt attacks"),
  );
  return Object.fromEntries(
    [...stdout.matchAll(/^([\w-]+)\|(.*(?:\n(?![\w-]+\|).*)*)/gm)].map(([, name = "", said = ""]) => [
      name,
      said.trim(),
    ]),
  );
}
