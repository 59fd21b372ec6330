import { deadlineIn } from "../../sys/deadline.ts";
import type { Log } from "../log.ts";
import { runFirstHooks, runLastHooks } from "../sandbox/hooks.ts";
import { readOciSpec } from "../sandbox/oci.ts";
import type { CreateRequest } from "./task.ts";

/** The hooks of a container on its own. */
export interface TaskHooks {
  /** Before it is made; `pid` is its task's. Throws what the first that fails says. */
  first(pid: number): Promise<void>;
  /** After it is gone; never rejects. */
  last(): Promise<void>;
}

/** For all of one kind: a hook need not have a limit of its own. */
const HOOKS_MS = 60_000;

/** They are read now: at the end there may be no bundle. */
export function hooksOf({ id, bundle }: CreateRequest, log: Pick<Log, "warn">): TaskHooks {
  const { hooks, annotations } = readOciSpec(bundle);
  const state = { id, bundle, annotations };
  return {
    first: (pid) =>
      runFirstHooks(
        hooks,
        { ...state, pid, status: "creating" },
        deadlineIn(HOOKS_MS, `run the hooks of container ${id}`),
      ),
    async last() {
      const deadline = deadlineIn(HOOKS_MS, `run the last hooks of container ${id}`);
      for (const error of await runLastHooks(hooks, { ...state, pid: 0, status: "stopped" }, deadline)) {
        log.warn("a hook failed after its container's end", { container: id, error });
      }
    },
  };
}
