import { Options } from "../../proto/gen/containerd/runtime/options.ts";
import type { CreateTaskRequest, TaskDefinition } from "../../proto/gen/containerd/task/task.ts";
import { Status as TaskStatus } from "../../proto/gen/containerd/types/task.ts";
import { TapirError, wrapError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import type { SandboxState } from "../sandbox/state.ts";
import type { Implementation } from "./handlers.ts";
import { emptyMetrics } from "./metrics.ts";
import type { SandboxTask } from "./sandbox-task.ts";

export interface TaskServiceOptions {
  readonly task: SandboxTask;
  readonly version: string;
  /** Called after Shutdown was accepted; the answer is on its way then. */
  readonly onShutdown: () => void;
}

/** containerd's Task API on a sandbox: translation, nothing else. Verbs that are missing here are answered so. */
export function taskService(options: TaskServiceOptions): Implementation<typeof TaskDefinition.methods> {
  const { task } = options;
  return {
    async create(request, call) {
      const { id, bundle } = request;
      return { pid: await task.create({ id, bundle, configPath: configPath(request) }, call.signal) };
    },
    async start({ id, execId }) {
      refuseExec(execId, "start");
      return { pid: await task.start(id) };
    },
    async state({ id, execId }) {
      refuseExec(execId, "ask the state of");
      const { bundle, state, pid } = task.find(id);
      const exit = state.name === "stopped" ? state.exit : undefined;
      return {
        id,
        bundle,
        pid,
        status: statusOf(state),
        stdin: "",
        stdout: "",
        stderr: "",
        terminal: false,
        exitStatus: exit?.status ?? 0,
        exitedAt: exit?.exitedAt,
        execId: "",
      };
    },
    async pids({ id }) {
      const { pid, state } = task.find(id);
      const alive = pid !== 0 && state.name !== "stopped";
      return { processes: alive ? [{ pid, info: undefined }] : [] };
    },
    async kill({ id, execId, signal }) {
      refuseExec(execId, "signal");
      if (ENDING_SIGNALS.has(signal)) task.kill(id, signal);
      // Nothing runs in the sandbox container that could get another signal; what has ended is still an error.
      else if (task.find(id).state.name === "stopped") task.kill(id, signal);
      return {};
    },
    async wait({ id, execId }) {
      refuseExec(execId, "wait for");
      const { status, exitedAtMs } = await task.wait(id);
      return { exitStatus: status, exitedAt: new Date(exitedAtMs) };
    },
    async delete({ id, execId }) {
      refuseExec(execId, "delete");
      const { pid, status, exitedAtMs } = await task.delete(id);
      return { pid, exitStatus: status, exitedAt: new Date(exitedAtMs) };
    },
    async stats({ id }) {
      task.find(id);
      return { stats: emptyMetrics() };
    },
    async connect({ id }) {
      // Also asked before Create, to see whether the shim lives.
      return { shimPid: process.pid, taskPid: pidOf(task, id), version: options.version };
    },
    async shutdown({ now }) {
      // A create under way, once containerd has given it up, must not hold the shim.
      if (now || task.creating) await task.abandon("shutdown");
      if (!task.occupied) options.onShutdown();
      return {};
    },
  };
}

/** HUP, INT, QUIT, KILL, TERM: what ends a process that does not care. */
const ENDING_SIGNALS: ReadonlySet<number> = new Set([1, 2, 3, 9, 15]);

function pidOf(task: SandboxTask, id: string): number {
  try {
    return task.find(id).pid;
  } catch {
    return 0;
  }
}

function statusOf(state: SandboxState): TaskStatus {
  switch (state.name) {
    case "creating":
      return TaskStatus.UNKNOWN;
    case "created":
      return TaskStatus.CREATED;
    case "running":
    case "stopping":
      return TaskStatus.RUNNING;
    case "stopped":
    case "deleted":
      return TaskStatus.STOPPED;
  }
}

function refuseExec(execId: string, operation: string): void {
  if (execId === "") return;
  throw new TapirError({
    code: Code.NOT_FOUND,
    operation,
    object: `exec ${execId}`,
    cause: "it is not here",
  });
}

const OPTIONS_TYPE = "runtimeoptions.v1.Options";

/** The configuration file that containerd's configuration names for this runtime, or "". */
function configPath({ options }: CreateTaskRequest): string {
  // Other types belong to other runtimes; containerd sends runc's when nothing is set.
  if (options === undefined || !options.typeUrl.endsWith(OPTIONS_TYPE)) return "";
  try {
    return Options.decode(options.value).configPath;
  } catch (error) {
    throw wrapError(error, { code: Code.INVALID_ARGUMENT, operation: "read", object: OPTIONS_TYPE });
  }
}
