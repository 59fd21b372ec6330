import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { endOf, waterfall } from "../cli/waterfall.ts";
import { step } from "../setup/step.ts";
import { sandboxDirectory } from "../shim/state/directory.ts";
import { readTimeline, type TimelineStep } from "../shim/state/timeline.ts";
import type { Deadline } from "../sys/deadline.ts";
import { TapirError } from "../sys/error.ts";
import { Code } from "../sys/status.ts";
import type { TestNode } from "../test/harness/node.ts";
import { sideBySide } from "./side-by-side.ts";

const USUAL_COLUMNS = 160;
const BETWEEN = "    ";

/** A pod that was started to be looked at. */
interface Start {
  /** Until it answered. */
  readonly ms: number;
  readonly steps: readonly TimelineStep[];
}

/** Starts the same pod twice, by a boot and from the template, and shows the two side by side, on one scale. */
export async function compareStarts(node: TestNode, deadline: Deadline): Promise<void> {
  const dropIn = join(node.directory, "config.d/60-boot.toml");
  mkdirSync(dirname(dropIn), { recursive: true });
  writeFileSync(dropIn, "[factory]\ntemplate = false\n");
  let booted: Start;
  try {
    booted = await startPod(node, "booted", deadline);
  } finally {
    rmSync(dropIn);
  }
  const restored = await startPod(node, "restored", deadline);
  if (!restored.steps.some(({ name }) => name === "load state")) {
    throw new TapirError({
      code: Code.FAILED_PRECONDITION,
      operation: "compare",
      object: "a boot and a restore",
      cause: "the second pod booted, too",
      hint: "tapir factory status says why there is no template",
    });
  }
  process.stdout.write(`\n${pictures(booted, restored, process.stdout.columns ?? USUAL_COLUMNS)}\n`);
  process.stdout.write(
    `        booted ${(booted.ms / 1000).toFixed(2)} s, restored ${(restored.ms / 1000).toFixed(2)} s: ` +
      `${(booted.ms / restored.ms).toFixed(1)} times as fast\n`,
  );
}

/** Both starts, a column of the terminal standing for as many milliseconds in either. */
function pictures(booted: Start, restored: Start, columns: number): string {
  const all = [...booted.steps, ...restored.steps];
  const scaleMs = endOf(all);
  // Names of one width leave bars of one width.
  const width = Math.max(0, ...all.map(({ name }) => name.length));
  const draw = ({ steps }: Start): string[] => {
    const named = steps.map((one) => ({ ...one, name: one.name.padEnd(width) }));
    return waterfall(named, Math.floor((columns - BETWEEN.length) / 2), { scaleMs })
      .trimEnd()
      .split("\n");
  };
  return sideBySide(["booted", ...draw(booted)], ["restored from the template", ...draw(restored)], BETWEEN);
}

/** Starts a pod that nobody needs, waits until it answers on its first address, and removes it. */
async function startPod(node: TestNode, name: string, deadline: Deadline): Promise<Start> {
  let start: Start = { ms: 0, steps: [] };
  await step(`a pod that is ${name} answers`, async () => {
    const started = performance.now();
    const id = await node.crictl.runp(node.podConfig(name), "tapir", deadline);
    const [address = ""] = (await node.crictl.inspectp(id, deadline)).addresses;
    await node.ping(address, deadline);
    const ms = performance.now() - started;
    const { steps } = readTimeline(sandboxDirectory(node.stateDirectory, "k8s.io", id));
    start = { ms, steps };
    await node.crictl.stopp(id, deadline);
    await node.crictl.rmp(id, deadline);
    return undefined;
  });
  return start;
}
