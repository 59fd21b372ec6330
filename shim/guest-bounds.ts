import { TapirError } from "../sys/error.ts";
import { printable } from "../sys/printable.ts";
import { Code } from "../sys/status.ts";

/** What is taken from a guest, which may be hostile. Pure; the agent's client and its users ask here, and nowhere else. */

/** Characters of a guest's sentence in an error or a log. */
const TEXT = 1024;
const MAX_EXIT_STATUS = 255;
/** Exit status of a process whose end nobody saw. */
export const UNKNOWN_STATUS = 255;

/** One line that moves no cursor, with at most `most` characters of what the guest said. */
export function guestText(text: string, most = TEXT): string {
  // Cut first: a guest's text may be megabytes.
  const cut = text.length > most ? `${text.slice(0, most)}… (${text.length - most} more characters)` : text;
  return printable(cut.replaceAll(/[\r\n\t]+/g, " "));
}

/** The guest's status, or UNKNOWN for what is none, or no failure. */
export function guestCode(code: number): Code {
  return Object.values(Code).find((known) => known === code && known !== Code.OK) ?? Code.UNKNOWN;
}

/** 0 to 255; anything else was no exit of a process. */
export function guestExit(status: number): number {
  return Number.isInteger(status) && status >= 0 && status <= MAX_EXIT_STATUS ? status : UNKNOWN_STATUS;
}

/** A few lines for the log. */
export function guestLines(lines: readonly string[], most = 32): string[] {
  const taken = lines.slice(0, most).map((line) => guestText(line, 256));
  return lines.length > most ? [...taken, `and ${lines.length - most} more`] : taken;
}

/** Refuses a list that no pod has; RESOURCE_EXHAUSTED. */
export function atMost<T>(what: string, list: T[], most: number): T[] {
  if (list.length <= most) return list;
  const cause = `it names ${list.length}, and at most ${most} are taken`;
  throw new TapirError({
    code: Code.RESOURCE_EXHAUSTED,
    operation: `list ${what} of`,
    object: "the guest",
    cause,
  });
}
