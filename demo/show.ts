import { waterfall } from "../cli/waterfall.ts";
import { sandboxDirectory } from "../shim/state/directory.ts";
import { readTimeline } from "../shim/state/timeline.ts";
import type { GuestState } from "../test/harness/guest-state.ts";

/** Where the time of a start went, from the sandbox's own timeline: one bar a step. */
export function timelineText(stateDirectory: string, id: string): string {
  const { steps } = readTimeline(sandboxDirectory(stateDirectory, "k8s.io", id));
  return waterfall(steps, COLUMNS).trimEnd().replaceAll(/^/gm, INDENT);
}

const INDENT = " ".repeat(8);
const COLUMNS = 96;

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
