import { readFileSync } from "node:fs";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { errnoOf, TapirError, wrapError } from "../../sys/error.ts";
import { replaceFile } from "../../sys/replace-file.ts";
import { Code } from "../../sys/status.ts";

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
  /**
   * Writes `timeline.json` into the state directory; who reads it meanwhile gets the one before, whole. What is measured from then
   * on came after the start.
   */
  write(directory: string): void;
}

const TIMELINE_FILE = "timeline.json";

/** A start as it was written down. */
export interface WrittenTimeline {
  readonly originEpochMs: number;
  /** In order of their starts. */
  readonly steps: readonly TimelineStep[];
  /** What containers need, and the first may have waited for. */
  readonly later: readonly TimelineStep[];
}

/** `originEpochMs`: the wall-clock time at which containerd called the shim. */
export function startTimeline(originEpochMs: number): Timeline {
  const steps: TimelineStep[] = [];
  const later: TimelineStep[] = [];
  let written = false;
  const add = (step: TimelineStep): void => void (written ? later : steps).push(step);
  const nowMs = (): number => performance.timeOrigin + performance.now() - originEpochMs;
  return {
    async measure(name, work) {
      const startMs = nowMs();
      try {
        return await work();
      } finally {
        add({ name, startMs, endMs: nowMs() });
      }
    },
    add,
    nowMs,
    write(directory) {
      written = true;
      const timeline = { originEpochMs, steps: inOrder(steps), later: inOrder(later) };
      replaceFile(join(directory, TIMELINE_FILE), `${JSON.stringify(timeline)}\n`, 0o600);
    },
  };
}

function inOrder(steps: readonly TimelineStep[]): TimelineStep[] {
  return steps.toSorted((a, b) => a.startMs - b.startMs);
}

/**
 * The start of the sandbox in `directory`. Errors: NOT_FOUND until it is up, FAILED_PRECONDITION when it was made by another
 * release.
 */
export function readTimeline(directory: string): WrittenTimeline {
  const path = join(directory, TIMELINE_FILE);
  const hint = "a pod has one once it is up";
  const failed = { operation: "read", object: path, hint };
  let value: Partial<WrittenTimeline> | null;
  try {
    value = JSON.parse(readFileSync(path, "utf8")) as typeof value;
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw wrapError(error, failed);
    throw new TapirError({ ...failed, code: Code.NOT_FOUND, cause: "there is no such file" });
  }
  const { originEpochMs, steps, later = [] } = value ?? {};
  if (typeof originEpochMs === "number" && isSteps(steps) && isSteps(later))
    return { originEpochMs, steps, later };
  throw new TapirError({ ...failed, code: Code.FAILED_PRECONDITION, cause: "it is no timeline" });
}

function isSteps(value: unknown): value is TimelineStep[] {
  return Array.isArray(value) && value.every(isStep);
}

function isStep(value: unknown): value is TimelineStep {
  if (typeof value !== "object" || value === null) return false;
  const { name, startMs, endMs } = value as Partial<TimelineStep>;
  return typeof name === "string" && Number.isFinite(startMs) && Number.isFinite(endMs);
}
