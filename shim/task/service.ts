import { Options } from "../../proto/gen/containerd/runtime/options.ts";
import type { CreateTaskRequest, TaskDefinition } from "../../proto/gen/containerd/task/task.ts";
import { Status as TaskStatus } from "../../proto/gen/containerd/types/task.ts";
import type { Any } from "../../proto/gen/google/protobuf/any.ts";
import { TapirError, wrapError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import { invalid } from "./failures.ts";
import type { Implementation } from "./handlers.ts";
import { packMetrics } from "./metrics/metrics.ts";
import type { ProcessStatus } from "./task.ts";
import type { Tasks } from "./tasks.ts";

export interface TaskServiceOptions {
  readonly tasks: Tasks;
  readonly version: string;
  /** Called when Shutdown was accepted, before it is answered. */
  readonly onShutdown: () => void;
}

/** The kernel's last signal: real-time ones included. */
const MAX_SIGNAL = 64;

/** containerd's Task API: translation, nothing else. */
export function taskService(options: TaskServiceOptions): Implementation<typeof TaskDefinition.methods> {
  const { tasks } = options;
  return {
    async create(request, call) {
      const { id, bundle, rootfs, stdin, stdout, stderr, terminal, checkpoint } = request;
      if (checkpoint !== "") throw noCheckpoints(id);
      const stdio = { stdin, stdout, stderr, terminal };
      const wanted = { id, bundle, rootfs, stdio, configPath: configPath(request) };
      return { pid: await tasks.create(wanted, call.signal) };
    },
    async start({ id, execId }) {
      return { pid: await tasks.find(id).start(execId) };
    },
    async exec({ id, execId, spec, ...stdio }) {
      if (execId === "") throw invalid("run a process in", `container ${id}`, "it has no exec id");
      if (spec === undefined) throw invalid("run", `exec ${execId} of container ${id}`, "it has no process");
      await tasks.find(id).exec({ execId, process: spec.value, stdio });
      return {};
    },
    async state({ id, execId }) {
      const { bundle, pid, status, stdio, exit } = tasks.find(id).snapshot(execId);
      return {
        id: execId || id,
        bundle,
        pid,
        status: statuses[status],
        ...stdio,
        exitStatus: exit?.status ?? 0,
        exitedAt: exit === undefined ? undefined : new Date(exit.exitedAtMs),
        execId,
      };
    },
    async pids({ id }) {
      const pids = tasks.find(id).pids();
      return { processes: pids.map((pid) => ({ pid, info: undefined })) };
    },
    async kill({ id, execId, signal, all }) {
      if (signal > MAX_SIGNAL) throw invalid("signal", `container ${id}`, `there is no signal ${signal}`);
      await tasks.find(id).kill(execId, signal, all);
      return {};
    },
    async wait({ id, execId }) {
      const { status, exitedAtMs } = await tasks.find(id).wait(execId);
      return { exitStatus: status, exitedAt: new Date(exitedAtMs) };
    },
    async delete({ id, execId }) {
      const { pid, status, exitedAtMs } = await tasks.find(id).delete(execId);
      return { pid, exitStatus: status, exitedAt: new Date(exitedAtMs) };
    },
    async pause({ id }) {
      await tasks.find(id).pause();
      return {};
    },
    async resume({ id }) {
      await tasks.find(id).resume();
      return {};
    },
    async checkpoint({ id }) {
      tasks.find(id);
      throw noCheckpoints(id);
    },
    async resizePty({ id, execId, width, height }) {
      await tasks.find(id).resize(execId, { columns: width, rows: height });
      return {};
    },
    async closeIO({ id, execId, stdin }) {
      const task = tasks.find(id);
      if (stdin) task.closeStdin(execId);
      return {};
    },
    async update({ id, resources }) {
      await tasks.find(id).update(readResources(id, resources));
      return {};
    },
    async stats({ id }) {
      return { stats: packMetrics(await tasks.find(id).stats()) };
    },
    async connect({ id }) {
      // Also asked before Create, to see whether the shim lives.
      return { shimPid: process.pid, taskPid: pidOf(tasks, id), version: options.version };
    },
    async shutdown({ now }) {
      // A create under way, once containerd has given it up, must not hold the shim.
      if (now || tasks.creating) await tasks.abandon("shutdown");
      if (!tasks.occupied) options.onShutdown();
      return {};
    },
  };
}

const statuses = {
  // A containerd that was restarted meanwhile ends and deletes what is created; what is unknown it would never understand.
  creating: TaskStatus.CREATED,
  created: TaskStatus.CREATED,
  running: TaskStatus.RUNNING,
  pausing: TaskStatus.PAUSING,
  paused: TaskStatus.PAUSED,
  stopped: TaskStatus.STOPPED,
} as const satisfies Record<ProcessStatus, TaskStatus>;

function pidOf(tasks: Tasks, id: string): number {
  try {
    return tasks.find(id).snapshot("").pid;
  } catch {
    return 0;
  }
}

function noCheckpoints(id: string): TapirError {
  return new TapirError({
    code: Code.UNIMPLEMENTED,
    operation: "checkpoint or restore",
    object: `container ${id}`,
    cause: "a container in a VM cannot be checkpointed",
    hint: "use a runtime that runs on the node's own kernel",
  });
}

const RESOURCES_TYPE = /opencontainers\/runtime-spec\/\d+\/LinuxResources$/;

/** The JSON of `linux.resources`, packed as containerd's type registry does it. */
function readResources(id: string, resources: Any | undefined): Uint8Array {
  if (resources !== undefined && RESOURCES_TYPE.test(resources.typeUrl)) return resources.value;
  const type = resources === undefined ? "nothing" : JSON.stringify(resources.typeUrl);
  throw invalid("update", `container ${id}`, `it was given ${type}, not the resources of an OCI spec`);
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
