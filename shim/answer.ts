import { closeSync, constants, openSync, readFileSync, writeFileSync, writeSync } from "node:fs";

/** Descriptor by which shim/launch.sh learns that the answer is out and it may end. */
const READY_FD = 3;
const READY = "ready";

/**
 * Writes the answer of `start` to containerd, which waits until nobody holds its pipes any more, and lets go of them: what
 * Node itself has to say later goes to containerd's log. Then the launcher is told.
 */
export function answer(text: string | Uint8Array): void {
  const bytes = typeof text === "string" ? Buffer.from(text) : text;
  for (let written = 0; written < bytes.length; ) written += writeSync(1, bytes, written);
  replace(0, openNothing);
  replace(1, openNothing);
  replace(2, openLogFifo);
  writeSync(READY_FD, READY);
  closeSync(READY_FD);
}

/** Opens something else under the same number: the lowest one that is free. */
function replace(fd: number, open: () => number): void {
  try {
    closeSync(fd);
  } catch {
    // It was not open.
  }
  open();
}

function openNothing(): number {
  return openSync("/dev/null", constants.O_RDWR);
}

/** containerd's fifo for log lines, or nothing when nobody reads it. Opening it must not wait. */
function openLogFifo(): number {
  try {
    return openSync("log", constants.O_WRONLY | constants.O_NONBLOCK);
  } catch {
    return openNothing();
  }
}

/** Short of memory, the kernel shall take a shim before containerd, whose score it inherited, never after. */
export function adjustOomScore(): void {
  const MAX_SCORE = 1000;
  const path = "/proc/self/oom_score_adj";
  try {
    writeFileSync(path, String(Math.min(Number(readFileSync(path, "utf8")) + 1, MAX_SCORE)));
  } catch {
    // Not allowed in some containers; the pod works without.
  }
}
