import { refuseOwnConfiguration } from "../config/container-annotations.ts";
import type { Log } from "../log.ts";
import { podGroup } from "../sandbox/group.ts";
import { readOciSpec } from "../sandbox/oci.ts";
import { type ContainerTask, openContainerTask } from "./container-task.ts";
import type { Publisher } from "./events.ts";
import { alreadyThere, invalid } from "./failures.ts";
import { hooksOf } from "./hooks.ts";
import { watchOutOfMemory } from "./oom.ts";
import { pauseTask } from "./pause-task.ts";
import { openPodPids } from "./pod-pids.ts";
import { openSandboxTask, type SandboxTaskOptions } from "./sandbox-task.ts";
import { singleTask } from "./single-task.ts";
import type { CreateRequest, Task } from "./task.ts";
import type { Workload } from "./workload.ts";

const SIGKILL = 9;

/** All tasks of one shim: a sandbox and the containers in it, or one container with a VM of its own. */
export interface Tasks {
  /** True while there is something that must end before the shim may. */
  readonly occupied: boolean;
  /** True while the sandbox is being created. */
  readonly creating: boolean;
  /** Throws NOT_FOUND. */
  find(id: string): Task;
  create(request: CreateRequest, caller: AbortSignal): Promise<number>;
  /** Ends whatever there is. */
  abandon(reason: string): Promise<void>;
}

export type TasksOptions = Omit<SandboxTaskOptions, "onGone"> & {
  readonly publisher: Publisher;
  readonly log: Log;
};

export function openTasks(options: TasksOptions): Tasks {
  const { namespace, publisher, log } = options;
  const containers = new Map<string, ContainerTask>();
  const pids = openPodPids((id) => containers.get(id)?.snapshot("").status);
  let watching: AbortController | undefined;

  const sandbox = openSandboxTask({
    ...options,
    onGone() {
      watching?.abort();
      watching = undefined;
      for (const container of containers.values()) container.vmGone();
    },
  });

  const workloadOf = ({ id, bundle }: CreateRequest, sandboxId: string): Workload => {
    const guest = sandbox.guest();
    if (watching === undefined) {
      watching = new AbortController();
      const tell = (containerId: string): void => containers.get(containerId)?.outOfMemory();
      void watchOutOfMemory(guest.containers, tell, watching.signal);
    }
    const endPod = async (): Promise<void> => {
      if (sandbox.find(sandboxId).state.name !== "stopped") sandbox.kill(sandboxId, SIGKILL);
      await sandbox.wait(sandboxId);
    };
    return { id, bundle, namespace, pid: sandbox.find(sandboxId).pid, guest, pids, publisher, log, endPod };
  };
  const createContainer = async (
    request: CreateRequest,
    container: ContainerTask,
    caller: AbortSignal,
  ): Promise<number> => {
    containers.set(request.id, container);
    try {
      return await container.create(caller);
    } catch (error) {
      containers.delete(request.id);
      throw error;
    }
  };
  const createSingle = async (request: CreateRequest, caller: AbortSignal): Promise<number> => {
    const { id } = request;
    const hooks = hooksOf(request, log);
    const pid = await sandbox.create(request, caller);
    try {
      await hooks.first(pid);
      const container = openContainerTask(workloadOf(request, id), request);
      return await createContainer(request, singleTask(container, sandbox, hooks.last), caller);
    } catch (error) {
      const logFailedUndo = (failure: unknown): void =>
        log.error("the VM of a container that was not made is not wholly removed", { error: failure });
      await sandbox.abandon("its container was not made").catch(logFailedUndo);
      // Tries again what failed. When that fails, too, the VM is still there for whoever deletes the container.
      await sandbox.delete(id).catch(logFailedUndo);
      await hooks.last();
      throw error;
    }
  };

  return {
    get occupied() {
      return sandbox.occupied || containers.size > 0;
    },
    get creating() {
      return sandbox.creating;
    },
    find(id) {
      const container = containers.get(id);
      if (container === undefined) {
        sandbox.find(id);
        return pauseTask(id, sandbox);
      }
      return {
        ...container,
        async delete(execId) {
          const record = await container.delete(execId);
          if (execId === "") containers.delete(id);
          return record;
        },
      };
    },
    async create(request, caller) {
      const { id, bundle } = request;
      if (containers.has(id)) throw alreadyThere(`container ${id}`, "there is one");
      const { spec } = sandbox;
      const { annotations } = readOciSpec(bundle);
      const { kind, sandboxId } = podGroup(id, annotations);
      if (kind === "single" && spec === undefined) return createSingle(request, caller);
      if (kind !== "container" || spec === undefined) return sandbox.create(request, caller);
      if (spec.id !== sandboxId) {
        const cause = `it belongs to sandbox ${sandboxId}, and this is the shim of ${spec.id}`;
        throw invalid("create", `container ${id}`, cause);
      }
      refuseOwnConfiguration(id, annotations, spec.annotations);
      const container = openContainerTask(workloadOf(request, sandboxId), request);
      return createContainer(request, container, caller);
    },
    abandon: (reason) => sandbox.abandon(reason),
  };
}
