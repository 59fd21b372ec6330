import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { PassThrough, type Readable } from "node:stream";
import type { StdioSetup } from "../../../proto/gen/tapir/agent/v1/container.ts";

/** The part of an OCI process that a fake one is made from. */
export interface OciProcess {
  readonly args: readonly string[];
  readonly cwd?: string;
  readonly env?: readonly string[];
}

export interface FakeExit {
  readonly status: number;
  readonly exitedAtMs: number;
}

/** A process on the host, in the container's root, that stands for one in a guest. */
export interface FakeProcess {
  readonly child: ChildProcess;
  readonly stdout: Readable | undefined;
  readonly stderr: Readable | undefined;
  readonly exited: Promise<FakeExit>;
  /** Whether it has ended. */
  readonly ended: () => boolean;
  signal(number: number): void;
}

/** undefined: its command is not there. */
export function startFake(rootfs: string, process: OciProcess, stdio: StdioSetup): FakeProcess | undefined {
  const [command = ""] = process.args;
  const path = process.env?.find((one) => one.startsWith("PATH="))?.slice(5) ?? "/bin";
  const places = command.includes("/") ? [command] : path.split(":").map((folder) => join(folder, command));
  if (!places.some((place) => existsSync(join(rootfs, place)))) return undefined;
  const pipe = (wanted: boolean): "pipe" | "ignore" => (wanted ? "pipe" : "ignore");
  const env = Object.fromEntries(
    (process.env ?? []).map((one) => [one.split("=")[0] ?? "", one.slice(one.indexOf("=") + 1)]),
  );
  const child = spawn("/usr/sbin/chroot", [rootfs, ...process.args], {
    detached: true,
    env: { PATH: "/bin", ...env },
    stdio: [pipe(stdio.stdin), pipe(stdio.stdout), pipe(stdio.stderr)],
  });
  child.stdin?.on("error", () => undefined);
  const exited = new Promise<FakeExit>((resolve) => {
    child.once("error", () => resolve({ status: 255, exitedAtMs: Date.now() }));
    child.once("exit", (code, signal) => {
      const status = signal === null ? (code ?? 255) : 128 + constants.signals[signal];
      resolve({ status, exitedAtMs: Date.now() });
    });
  });
  // Node drops what a child that has ended left unread in its own streams.
  const kept = (stream: Readable | null): Readable | undefined => stream?.pipe(new PassThrough());
  const ended = (): boolean => child.exitCode !== null || child.signalCode !== null;
  return {
    child,
    stdout: kept(child.stdout),
    stderr: kept(child.stderr),
    exited,
    ended,
    signal: (number) => {
      if (ended()) throw new Error("ended");
      kill(-(child.pid ?? 0), number);
    },
  };
}

function kill(pid: number, signal: number): void {
  process.kill(pid, signal);
}
