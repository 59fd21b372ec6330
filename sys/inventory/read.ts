import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { errnoOf } from "../error.ts";

/** What a list of a living machine has to expect: the thing is gone, or belongs to somebody else. */
const VANISHED = new Set(["ENOENT", "ESRCH", "ENOTDIR", "EACCES", "ENODEV", "EINVAL", "ENXIO"]);

function unlessGone<T>(read: () => T, otherwise: T): T {
  try {
    return read();
  } catch (error) {
    if (VANISHED.has(errnoOf(error) ?? "")) return otherwise;
    throw error;
  }
}

/** The text of a file; "" when it vanished. */
export const readText = (path: string): string => unlessGone(() => readFileSync(path, "latin1"), "");
/** The target of a symbolic link; "" when it vanished. */
export const readLink = (path: string): string => unlessGone(() => readlinkSync(path), "");
/** The names in a directory; none when it vanished. */
export const readNames = (path: string): string[] => unlessGone(() => readdirSync(path), []);
/** The entries of a directory; none when it vanished. */
export const readEntries = (path: string) => unlessGone(() => readdirSync(path, { withFileTypes: true }), []);
