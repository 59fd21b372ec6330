import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdirSync, openSync, readFileSync, watch, writeFileSync } from "node:fs";
import type { Deadline } from "../../sys/deadline.ts";
import { TapirError, wrapError } from "../../sys/error.ts";
import { inNetns } from "../../sys/netns.ts";
import { identify, type ProcessIdentity, waitForExit } from "../../sys/process.ts";
import { Code } from "../../sys/status.ts";
import { containerdConfig, containerdPaths } from "./containerd-config.ts";
import { runOk } from "./run.ts";

export interface ContainerdOptions {
  /** Holds root, state, socket, configuration and log; must exist. */
  readonly directory: string;
  /** The network namespace that plays the node's. */
  readonly netns: string;
  readonly cniBinDirectory: string;
  readonly cniConfDirectory: string;
  readonly pauseImage: string;
  /** What the daemon, and with it every shim, sees besides this process's environment. */
  readonly env: Readonly<Record<string, string>>;
}

export interface Containerd {
  readonly socket: string;
  readonly log: string;
  /** Of the running daemon; throws when it does not run. */
  identity(): ProcessIdentity;
  /** As `identity`, but undefined when it does not run. */
  running(): ProcessIdentity | undefined;
  /** SIGTERM, wait for the end. Pods keep running, as they do on a node. */
  stop(deadline: Deadline): Promise<void>;
  /** SIGKILL, wait for the end. */
  kill9(deadline: Deadline): Promise<void>;
  /** Starts the daemon again after `stop` or `kill9`. */
  start(deadline: Deadline): Promise<void>;
}

const BOOTED = "containerd successfully booted";

/** Starts a private containerd; its network is that of `netns`, its mounts and cgroups are the machine's. */
export async function startContainerd(options: ContainerdOptions, deadline: Deadline): Promise<Containerd> {
  const paths = containerdPaths(options.directory);
  for (const path of [paths.root, paths.state]) mkdirSync(path, { recursive: true, mode: 0o711 });
  writeFileSync(paths.config, containerdConfig({ ...options, major: await containerdMajor(deadline) }));
  let running: { child: ChildProcess; identity: ProcessIdentity } | undefined;

  const living = (): { child: ChildProcess; identity: ProcessIdentity } => {
    if (running !== undefined) return running;
    throw new TapirError({
      code: Code.FAILED_PRECONDITION,
      operation: "use",
      object: `containerd in ${options.directory}`,
      cause: "it is not running",
    });
  };
  const end = async (signal: NodeJS.Signals, wait: Deadline): Promise<void> => {
    const { identity } = living();
    process.kill(identity.pid, signal);
    await waitForExit(identity, wait);
    running = undefined;
  };
  const daemon: Containerd = {
    socket: paths.socket,
    log: paths.log,
    identity: () => living().identity,
    running: () => running?.identity,
    stop: (wait) => end("SIGTERM", wait),
    kill9: (wait) => end("SIGKILL", wait),
    async start(wait) {
      running = await launch(options, wait);
    },
  };
  await daemon.start(deadline);
  return daemon;
}

async function launch(options: ContainerdOptions, deadline: Deadline) {
  const paths = containerdPaths(options.directory);
  const log = openSync(paths.log, "a");
  const bootsBefore = boots(paths.log);
  let child: ChildProcess;
  try {
    child = inNetns(options.netns, () =>
      spawn("containerd", ["--config", paths.config, "--log-level", "debug"], {
        // Detached: a daemon that is kept outlives the one who started it, and no ^C of a terminal reaches it.
        detached: true,
        env: { ...process.env, ...options.env },
        stdio: ["ignore", log, log],
      }),
    );
  } finally {
    closeSync(log);
  }
  child.unref();
  const died = Promise.withResolvers<never>();
  child.on("error", (error) => died.reject(wrapError(error, { operation: "start", object: "containerd" })));
  child.on("exit", (code, signal) => {
    died.reject(
      new TapirError({
        code: Code.UNAVAILABLE,
        operation: "start",
        object: "containerd",
        cause: `it ended with ${code ?? signal}; the end of ${paths.log}:\n${tail(paths.log)}`,
      }),
    );
  });
  died.promise.catch(() => undefined);
  try {
    await deadline.race(Promise.race([died.promise, booted(paths.log, bootsBefore + 1, deadline.signal)]));
  } catch (error) {
    child.kill("SIGKILL");
    throw error;
  }
  const identity = identify(child.pid ?? 0);
  if (identity === undefined) return died.promise;
  return { child, identity };
}

/** Resolves when the log says for the `count`th time that the daemon has booted. */
async function booted(log: string, count: number, signal: AbortSignal): Promise<void> {
  const watcher = watch(log, { signal });
  watcher.on("error", () => undefined);
  try {
    // The watch is there before the first look, so no change is missed.
    while (boots(log) < count) await once(watcher, "change", { signal });
  } finally {
    watcher.close();
  }
}

const boots = (log: string): number => readFileSync(log, "utf8").split(BOOTED).length - 1;
const tail = (log: string): string => readFileSync(log, "utf8").split("\n").slice(-15).join("\n");

async function containerdMajor(deadline: Deadline): Promise<number> {
  const version = await runOk({ command: "containerd", args: ["--version"], deadline });
  const major = /\bv?(\d+)\.\d+\.\d+/.exec(version)?.[1];
  return major === undefined ? 1 : Number(major);
}
