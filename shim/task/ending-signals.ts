/** HUP, INT, QUIT, KILL, TERM: what ends a process that does not care, and is sent for that. */
export const ENDING_SIGNALS: ReadonlySet<number> = new Set([1, 2, 3, 9, 15]);
