import { existsSync, rmSync } from "node:fs";
import { deadlineIn } from "../../sys/deadline.ts";
import { isAlive, type ProcessIdentity, waitForExit } from "../../sys/process.ts";
import { containerdPaths } from "./containerd-config.ts";
import { crictl } from "./crictl.ts";
import { removeLeftovers } from "./leftovers.ts";
import { deleteNetns } from "./netns.ts";
import { removePods } from "./pods.ts";
import { BUILT } from "./project.ts";

/** What it takes to find a private node again: from another process, or after a start that failed half way. */
export interface NodeRecord {
  readonly mark: string;
  readonly directory: string;
  readonly daemon: ProcessIdentity | undefined;
}

const PODS_MS = 90_000;
const DAEMON_MS = 20_000;
const LEFTOVERS_MS = 20_000;

/**
 * Takes a private node apart: its pods, its daemon, then by force whatever still carries its mark, its network
 * namespace, its files. What is not there is fine.
 */
export async function dismantleNode({ mark, directory, daemon }: NodeRecord): Promise<void> {
  if (daemon !== undefined && isAlive(daemon)) {
    const client = crictl(BUILT.crictl, containerdPaths(directory).socket, directory);
    // Pods that cannot be removed properly are a failure of the test that made them: here they only have to go.
    await removePods(client, deadlineIn(PODS_MS, "remove the pods of a test node")).catch(() => undefined);
    process.kill(daemon.pid, "SIGTERM");
    await waitForExit(daemon, deadlineIn(DAEMON_MS, "stop containerd")).catch(() => undefined);
  }
  await removeLeftovers(mark, deadlineIn(LEFTOVERS_MS, "remove leftovers"));
  if (existsSync(`/run/netns/${mark}`)) await deleteNetns(mark);
  rmSync(directory, { recursive: true, force: true });
  rmSync(stateDirectoryOf(mark), { recursive: true, force: true });
}

/** Of the node's shims; the dot says that it is no namespace of containerd. */
export function socketDirectoryOf(mark: string): string {
  return `${stateDirectoryOf(mark)}/.s`;
}

/** On tmpfs where /run is one. Short: the path of a socket in it may have 107 bytes. */
export function stateDirectoryOf(mark: string): string {
  return `/run/${mark}`;
}
