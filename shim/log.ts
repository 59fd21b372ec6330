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

/**
 * Logs into containerd's fifo (`log` in the bundle), in the form containerd's own lines have. Without a reader, or
 * with one that does not read, lines are dropped: the pod matters more. A reader that comes later is found.
 */
export function openLog(path: string, options: { readonly debug: boolean; readonly fields: Fields }): Log {
  let fd: number | undefined;
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
      if (level === "debug" && !options.debug) return;
      write(formatLine(level, text, { ...fields, ...options.fields }, new Date()));
    };
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
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
