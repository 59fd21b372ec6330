import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { connectManagement, methods } from "../../cli/management-client.ts";
import { shimIdentityFile } from "../../shim/bundle-files.ts";
import { sandboxDirectory } from "../../shim/state/directory.ts";
import type { Deadline } from "../../sys/deadline.ts";
import type { TestNode } from "./node.ts";
import type { Workloads } from "./workload.ts";

/** What a process of a container sent back of what it was sent. */
export interface Echo {
  /** Byte by byte the same, and all of it. */
  readonly exact: boolean;
  readonly seconds: number;
}

/** `mib` MiB of noise through `crictl exec --interactive <container> cat` and back. */
export async function echo(
  work: Workloads,
  container: string,
  mib: number,
  deadline: Deadline,
): Promise<Echo> {
  // A cipher's stream: no two places are alike, and it costs next to nothing.
  const noise = `openssl enc -aes-128-ctr -nosalt -pass pass:tapir -md sha256 -in /dev/zero 2> /dev/null | head -c ${mib}M`;
  const start = performance.now();
  const { stdout } = await work.shell(
    `${noise} | crictl exec --interactive ${container} cat | cmp - <(${noise}) && echo the same`,
    deadline,
  );
  return { exact: stdout === "the same\n", seconds: (performance.now() - start) / 1000 };
}

/** The most that was in use, beyond what was at first, in MiB. */
export interface Growth {
  readonly shim: number;
  readonly guest: number;
}

const SAMPLE_MS = 250;

/** Watches the memory of a pod's shim and guest while `work` runs. */
export async function watchGrowth<T>(
  node: TestNode,
  sandbox: string,
  work: Promise<T>,
): Promise<{ readonly result: T; readonly growth: Growth }> {
  const directory = sandboxDirectory(node.stateDirectory, "k8s.io", sandbox);
  const shim = shimOf(node, sandbox);
  using connection = await connectManagement(directory);
  const guest = async (): Promise<number> =>
    Number((await connection.call(methods.getGuestDetails, {})).memoryAvailableBytes);
  const [before, available] = [residentKib(shim), await guest()];
  const most = { shim: 0, guest: 0 };
  const over = new AbortController();
  const watching = (async () => {
    while (!over.signal.aborted) {
      most.shim = Math.max(most.shim, (residentKib(shim) - before) / 1024);
      most.guest = Math.max(most.guest, (available - (await guest())) / 2 ** 20);
      await pause(SAMPLE_MS, undefined, { signal: over.signal }).catch(() => undefined);
    }
  })();
  try {
    return { result: await work, growth: most };
  } finally {
    over.abort();
    await watching;
  }
}

/** Process id of the shim of a sandbox. */
export function shimOf({ directory }: TestNode, sandbox: string): number {
  const bundle = join(directory, "state/io.containerd.runtime.v2.task/k8s.io", sandbox);
  return shimIdentityFile.read(bundle)?.pid ?? 0;
}

function residentKib(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1]);
}
