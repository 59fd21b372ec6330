import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import type { TestNode } from "../harness/node.ts";

/** The ends of tasks that containerd has told of. */
export interface ToldExits extends Disposable {
  /** From now on ends count. */
  forget(): void;
  /** Those that were told more than once. When a shim has gone before its task was deleted, containerd tells it itself as well. */
  repeated(): string[];
}

interface TaskExit {
  readonly container_id: string;
  readonly id: string;
}

const AGAIN_MS = 200;
/** containerd's words before it tells the end of a task by itself. */
const CLEANS_UP = "cleaning up after shim disconnected";

/** Listens as long as containerd lives, and again to the next one: what is told meanwhile it does not hear. */
export function followExits(node: TestNode): ToldExits {
  const told = new Map<string, number>();
  let listener: ChildProcess | undefined;
  let over = false;
  const hear = (line: string): void => {
    const text = /\/tasks\/exit (\{.*\})\s*$/.exec(line)?.[1];
    if (text === undefined) return;
    const { container_id, id } = JSON.parse(text) as TaskExit;
    const key = container_id === id ? id : `exec ${id} of ${container_id}`;
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
  let logged = 0;
  const log = (): Buffer => readFileSync(node.containerd.log);
  return {
    forget() {
      told.clear();
      logged = log().length;
    },
    repeated() {
      const lines = log().subarray(logged).toString().split("\n");
      const byContainerd = (id: string): number =>
        lines.filter((line) => line.includes(`${CLEANS_UP}" id=${id}`)).length;
      return [...told]
        .filter(([key, count]) => count > 1 + byContainerd(key))
        .map(([key, count]) => `${key}: ${count} times`);
    },
    [Symbol.dispose]() {
      over = true;
      listener?.kill("SIGKILL");
    },
  };
}
