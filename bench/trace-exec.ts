import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Deadline } from "../sys/deadline.ts";
import { type Executed, executedBelow } from "./executed.ts";

const CALLS = "execve,clone,clone3,fork,vfork";

/**
 * Watches, with strace(1), what the daemon `pid` and everything below it executes while `work` runs; returns what was
 * executed below the shim. The work is slower meanwhile: time nothing.
 */
export async function traceShim(
  pid: number,
  work: () => Promise<void>,
  deadline: Deadline,
): Promise<Executed[]> {
  const directory = mkdtempSync(join(tmpdir(), "tapir-bench-"));
  const file = join(directory, "trace");
  const args = ["-f", "-s", "200", "-p", String(pid), "-e", `trace=${CALLS}`, "-o", file];
  const strace = spawn("strace", args, { stdio: ["ignore", "ignore", "pipe"] });
  const ended = once(strace, "close");
  try {
    // Its first words: "Process N attached with M threads".
    const attached = Promise.race([once(strace.stderr, "data"), ended]);
    await deadline.race(attached);
    if (strace.exitCode !== null)
      throw new Error(`cannot trace containerd: strace ended with ${strace.exitCode}`);
    await work();
  } finally {
    strace.kill("SIGINT");
    await ended.catch(() => undefined);
  }
  const trace = readFileSync(file, "utf8");
  rmSync(directory, { recursive: true });
  return executedBelow(trace, "containerd-shim-tapir-v2");
}
