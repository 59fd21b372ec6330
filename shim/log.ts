import { closeSync, constants, openSync, writeSync } from "node:fs";
import { errnoOf, reasonOf } from "../sys/error.ts";

/** Lines for the node's operator: a constant text and fields. Never blocks, never throws. */
export interface Log {
  debug(text: string, fields?: Fields): void;
  info(text: string, fields?: Fields): void;
  warn(text: string, fields?: Fields): void;
  error(text: string, fields?: Fields): void;
}
export type Fields = Readonly<Record<string, unknown>>;

type Level = keyof Log;

/** A log whose debug lines can be asked for later than it is opened. */
export interface OpenedLog extends Log {
  /** From now on debug lines are written, too. */
  showDebug(): void;
}

/** A console's end fits into a line. */
const LINE_CHARACTERS = 32 * 1024;
const BUDGET = { most: 512 * 1024, perSecond: 32 * 1024 };

/**
 * Logs into containerd's fifo (`log` in the bundle), in the form containerd's own lines have. Without a reader, or
 * with one that does not read, lines are dropped: the pod matters more. A reader that comes later is found. What a guest can
 * cause is bounded: a line, and how much comes at a time; the first line after a gap says how many are missing.
 */
export function openLog(
  path: string,
  options: { readonly debug: boolean; readonly fields: Fields },
): OpenedLog {
  let { debug } = options;
  let fd: number | undefined;
  let missing = 0;
  const budget = openBudget(BUDGET);
  const write = (line: string): void => {
    try {
      fd ??= openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
      writeSync(fd, line);
    } catch (error) {
      // The reader is slow (EAGAIN) or gone (EPIPE), or there is none (ENXIO, ENOENT).
      if (fd === undefined || errnoOf(error) === "EAGAIN") return;
      closeSync(fd);
      fd = undefined;
    }
  };
  const at =
    (level: Level) =>
    (text: string, fields: Fields = {}) => {
      if (level === "debug" && !debug) return;
      const line = cut(formatLine(level, text, { ...fields, ...options.fields }, new Date()));
      if (!budget.take(line.length)) {
        missing += 1;
        return;
      }
      if (missing > 0)
        write(formatLine("warn", "lines left out", { count: missing, ...options.fields }, new Date()));
      missing = 0;
      write(line);
    };
  return {
    ...{ debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") },
    showDebug() {
      debug = true;
    },
  };
}

function cut(line: string): string {
  return line.length <= LINE_CHARACTERS ? line : `${line.slice(0, LINE_CHARACTERS)}…\n`;
}

/** Fills up again with time. */
function openBudget({ most, perSecond }: typeof BUDGET): { take(amount: number): boolean } {
  let left = most;
  let atMs = performance.now();
  return {
    take(amount) {
      const nowMs = performance.now();
      left = Math.min(most, left + ((nowMs - atMs) / 1000) * perSecond);
      atMs = nowMs;
      if (left < amount) return false;
      left -= amount;
      return true;
    },
  };
}

/** One line as logrus writes it: `time="…" level=info msg="…" key=value`. */
export function formatLine(level: Level, text: string, fields: Fields, time: Date): string {
  const named = {
    time: time.toISOString(),
    level: level === "warn" ? "warning" : level,
    msg: text,
    ...fields,
  };
  return `${Object.entries(named)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}=${quote(value)}`)
    .join(" ")}\n`;
}

function quote(value: unknown): string {
  const text = value instanceof Error ? reasonOf(value) : String(value);
  return /^[\w.+@/^-]+$/.test(text) ? text : JSON.stringify(text);
}
