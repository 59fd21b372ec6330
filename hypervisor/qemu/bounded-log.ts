import { closeSync, openSync, renameSync, writeSync } from "node:fs";

/** A file that somebody who is not trusted may write to for ever. */
export interface BoundedLog {
  write(chunk: Uint8Array): void;
  close(): void;
}

/**
 * Keeps at most twice `maxBytes`: `path` and, once that was full, the part before it in `path.1`. Whatever goes wrong with the
 * file later (disk full, directory removed) ends the log and nothing else: it only serves people.
 */
export function openBoundedLog(path: string, maxBytes: number): BoundedLog {
  let fd: number | undefined = openSync(path, "w", 0o600);
  let written = 0;
  const close = (): void => {
    if (fd !== undefined) closeSync(fd);
    fd = undefined;
  };
  const rotate = (): void => {
    renameSync(path, `${path}.1`);
    close();
    fd = openSync(path, "w", 0o600);
    written = 0;
  };
  return {
    write(chunk) {
      if (fd === undefined) return;
      try {
        if (written > 0 && written + chunk.length > maxBytes) rotate();
        written += writeSync(fd, chunk.subarray(0, maxBytes));
      } catch {
        close();
      }
    },
    close,
  };
}
