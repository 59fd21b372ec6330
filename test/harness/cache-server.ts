import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Deadline } from "../../sys/deadline.ts";
import { identify, waitForExit } from "../../sys/process.ts";
import { cacheCgroup, type TestNode } from "./node.ts";
import { BUILT, built } from "./project.ts";

/** `tapir factory serve` of a private node. */
export interface CacheServer {
  readonly pid: number;
  /** What it said so far. */
  log(): string;
  /** Resolves when it says, from now on or last, that so many VMs are ready. */
  ready(count: number, deadline: Deadline): Promise<void>;
  /** Signals it and waits for its end; returns its exit code, none after a signal. */
  end(signal: "SIGTERM" | "SIGKILL", deadline: Deadline): Promise<number | undefined>;
  /** Resolves when it has ended, for whatever reason. */
  readonly ended: Promise<unknown>;
}

/** Lets the node's pods ask a cache of `size`, which is served once `startCacheServer` was called. */
export function configureCache({ directory, stateDirectory }: TestNode, size: number): void {
  const dropIns = join(directory, "config.d");
  mkdirSync(dropIns, { recursive: true });
  const text = ["[factory]", `cache_size = ${size}`, `cache_socket = "${stateDirectory}/cache.sock"`];
  writeFileSync(join(dropIns, "60-cache.toml"), `${text.join("\n")}\n`);
}

export function startCacheServer(node: TestNode, env: Readonly<Record<string, string>> = {}): CacheServer {
  const child: ChildProcess = spawn(join(built(BUILT.shim), "tapir"), ["factory", "serve"], {
    stdio: ["ignore", "ignore", "pipe"],
    env: {
      ...process.env,
      TAPIR_TEST_NODE: node.mark,
      TAPIR_CONFIG: join(node.directory, "configuration.toml"),
      ...env,
    },
  });
  const identity = identify(child.pid ?? 0);
  // As a unit of systemd would: its VMs stay there until pods take them, also when it is gone.
  writeFileSync(join(cacheCgroup(node.mark), "cgroup.procs"), String(child.pid));
  let said = "";
  let changed = Promise.withResolvers<void>();
  child.stderr?.on("data", (chunk: Buffer) => {
    said += chunk;
    changed.resolve();
    changed = Promise.withResolvers();
  });
  const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
  const last = (): string | undefined => said.match(/\d+ of \d+ clones|was taken/g)?.at(-1);
  return {
    pid: child.pid ?? 0,
    log: () => said,
    ended,
    async ready(count, deadline) {
      while (!last()?.startsWith(`${count} of`)) {
        const over = ended.then(() => Promise.reject(new Error(`the cache server ended: ${said}`)));
        await deadline.race(Promise.race([changed.promise, over]));
      }
    },
    async end(signal, deadline) {
      child.kill(signal);
      if (identity !== undefined) await waitForExit(identity, deadline);
      return (await deadline.race(ended)) ?? undefined;
    },
  };
}
