import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { TestNode } from "../harness/node.ts";

/** The ends of tasks that containerd has told of. */
export interface ToldExits extends Disposable {
  /** From now on ends count. */
  forget(): void;
  /** Those that were told more than once. */
  repeated(): string[];
}

interface TaskExit {
  readonly container_id: string;
  readonly id: string;
}

const AGAIN_MS = 200;

/** Listens as long as containerd lives, and again to the next one: what is told meanwhile it does not hear. */
export function followExits(node: TestNode): ToldExits {
  const told = new Map<string, number>();
  let listener: ChildProcess | undefined;
  let over = false;
  const hear = (line: string): void => {
    const text = /\/tasks\/exit (\{.*\})\s*$/.exec(line)?.[1];
    if (text === undefined) return;
    const { container_id, id } = JSON.parse(text) as TaskExit;
    const key = container_id === id ? `task ${id}` : `exec ${id} of ${container_id}`;
    told.set(key, (told.get(key) ?? 0) + 1);
  };
  const listen = (): void => {
    if (over) return;
    // A path without the node's mark: it is none of the node's processes.
    const args = ["--address", "containerd.sock", "--namespace", "k8s.io", "events"];
    listener = spawn("ctr", args, { cwd: node.directory, stdio: ["ignore", "pipe", "ignore"] });
    if (listener.stdout !== null) createInterface({ input: listener.stdout }).on("line", hear);
    listener.on("error", () => undefined);
    listener.on("close", () => setTimeout(listen, AGAIN_MS).unref());
  };
  listen();
  return {
    forget: () => told.clear(),
    repeated: () =>
      [...told].filter(([, count]) => count > 1).map(([key, count]) => `${key}: ${count} times`),
    [Symbol.dispose]() {
      over = true;
      listener?.kill("SIGKILL");
    },
  };
}
