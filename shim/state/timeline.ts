import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { performance } from "node:perf_hooks";

/** One part of a sandbox's start, in milliseconds since containerd called the shim. Parts may overlap. */
export interface TimelineStep {
  readonly name: string;
  readonly startMs: number;
  readonly endMs: number;
}

export interface Timeline {
  /** Runs `work` and notes how long it took, also when it fails. */
  measure<T>(name: string, work: () => Promise<T>): Promise<T>;
  /** Notes a step that was measured elsewhere. */
  add(step: TimelineStep): void;
  /** Milliseconds since the origin. */
  nowMs(): number;
  /** Writes `timeline.json` into the state directory. */
  write(directory: string): void;
}

export const TIMELINE_FILE = "timeline.json";

/** `originEpochMs`: the wall-clock time at which containerd called the shim. */
export function startTimeline(originEpochMs: number): Timeline {
  const steps: TimelineStep[] = [];
  const nowMs = (): number => performance.timeOrigin + performance.now() - originEpochMs;
  return {
    async measure(name, work) {
      const startMs = nowMs();
      try {
        return await work();
      } finally {
        steps.push({ name, startMs, endMs: nowMs() });
      }
    },
    add: (step) => void steps.push(step),
    nowMs,
    write(directory) {
      const sorted = steps.toSorted((a, b) => a.startMs - b.startMs);
      writeFileSync(join(directory, TIMELINE_FILE), `${JSON.stringify({ originEpochMs, steps: sorted })}\n`, {
        mode: 0o600,
      });
    },
  };
}
