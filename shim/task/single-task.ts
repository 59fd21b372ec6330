import type { ExitRecord } from "../bundle-files.ts";
import type { ContainerTask } from "./container-task.ts";
import type { SandboxTask } from "./sandbox-task.ts";

const SIGKILL = 9;

/**
 * A container that is not in a pod, with the VM that is there for it alone: the VM goes when the container ends. `afterwards`
 * runs when both are gone.
 */
export function singleTask(
  container: ContainerTask,
  sandbox: SandboxTask,
  afterwards: () => Promise<void>,
): ContainerTask {
  const { id } = container;
  /** Of a container that is deleted already, while its VM is not. */
  let record: ExitRecord | undefined;
  const endVm = (): void => {
    if (sandbox.find(id).state.name !== "stopped") sandbox.kill(id, SIGKILL);
  };
  // Its last output has left the guest then.
  void container.finished.then(endVm).catch(() => undefined);
  return {
    ...container,
    async start(execId) {
      // What came into its network since it was created is there when its program starts.
      if (execId === "" && sandbox.find(id).state.name === "created") await sandbox.start(id);
      return container.start(execId);
    },
    async delete(execId) {
      if (execId !== "") return container.delete(execId);
      record ??= await container.delete(execId);
      endVm();
      await sandbox.wait(id);
      await sandbox.delete(id);
      await afterwards();
      return record;
    },
  };
}
