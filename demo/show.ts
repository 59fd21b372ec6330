import { readFileSync } from "node:fs";
import { join } from "node:path";
import { sandboxDirectory } from "../shim/state/directory.ts";
import { TIMELINE_FILE, type TimelineStep } from "../shim/state/timeline.ts";
import type { GuestState } from "../test/harness/guest-state.ts";

/** Where the time of a start went, from the sandbox's own timeline: one bar a step. */
export function timelineText(stateDirectory: string, id: string): string {
  const path = join(sandboxDirectory(stateDirectory, "k8s.io", id), TIMELINE_FILE);
  const { steps } = JSON.parse(readFileSync(path, "utf8")) as { steps: TimelineStep[] };
  const WIDTH = 40;
  const scale = WIDTH / Math.max(...steps.map(({ endMs }) => endMs));
  return steps
    .map(({ name, startMs, endMs }) => {
      const from = Math.min(WIDTH - 1, Math.floor(startMs * scale));
      const bar = " ".repeat(from) + "#".repeat(Math.max(1, Math.round((endMs - startMs) * scale)));
      return `        ${name.padEnd(15)} ${(endMs - startMs).toFixed(0).padStart(6)} ms  |${bar.padEnd(WIDTH)}|`;
    })
    .join("\n");
}

/** Netns and guest side by side, a line each; `=` between what is equal. */
export function comparisonText({ netns, guest }: GuestState): string {
  const parts = ["interfaces", "addresses", "routes", "neighbors"] as const;
  const rows = parts.flatMap((part) =>
    [...new Set([...netns[part], ...guest[part]])].map((line) => ({
      left: netns[part].includes(line) ? line : "",
      right: guest[part].includes(line) ? line : "",
    })),
  );
  const none = netns.neighbors.length + guest.neighbors.length === 0;
  if (none) rows.push({ left: "(no permanent neighbours)", right: "(no permanent neighbours)" });
  const width = Math.max(...rows.map(({ left }) => left.length));
  return [{ left: "the veth in the pod's netns", right: "what the guest says" }, ...rows]
    .map(({ left, right }, row) => {
      const sign = row === 0 ? " " : left === right ? "=" : "!";
      return `        ${left.padEnd(width)}  ${sign}  ${right}`;
    })
    .join("\n");
}
