import { deadlineIn } from "../../sys/deadline.ts";
import type { SandboxState } from "../sandbox/state.ts";
import type { StdioAddresses } from "../stdio/open.ts";
import { ENDING_SIGNALS } from "./ending-signals.ts";
import { notHere, notNow } from "./failures.ts";
import type { SandboxTask } from "./sandbox-task.ts";
import type { ProcessStatus, Task } from "./task.ts";

const NO_STDIO: StdioAddresses = { stdin: "", stdout: "", stderr: "", terminal: false };

/** The sandbox container of a pod: no process, the VM itself. */
export function pauseTask(id: string, sandbox: SandboxTask): Task {
  const refuseExec = (execId: string): void => {
    if (execId !== "") throw notHere(`exec ${execId}`);
  };
  const noProcess = async (verb: string): Promise<never> => {
    const { state } = sandbox.find(id);
    const cause =
      state.name === "running" ? "it is the sandbox itself, without processes" : `it is ${state.name}`;
    throw notNow(verb, `container ${id}`, cause, "use a container of the pod");
  };
  return {
    id,
    snapshot(execId) {
      refuseExec(execId);
      const { bundle, state, pid, exit } = sandbox.find(id);
      return { bundle, pid, status: statusOf(state), stdio: NO_STDIO, exit };
    },
    pids() {
      const { pid, state } = sandbox.find(id);
      return pid !== 0 && state.name !== "stopped" ? [pid] : [];
    },
    async start(execId) {
      refuseExec(execId);
      return sandbox.start(id);
    },
    async exec() {
      await noProcess("run a process in");
    },
    async kill(execId, signal) {
      refuseExec(execId);
      if (ENDING_SIGNALS.has(signal)) sandbox.kill(id, signal);
      // Nothing runs here that could get another signal; what has ended is still an error.
      else if (sandbox.find(id).state.name === "stopped") sandbox.kill(id, signal);
    },
    async wait(execId) {
      refuseExec(execId);
      return sandbox.wait(id);
    },
    async delete(execId) {
      refuseExec(execId);
      return sandbox.delete(id);
    },
    pause: () => noProcess("pause"),
    resume: () => noProcess("resume"),
    update: () => noProcess("update"),
    async stats() {
      sandbox.find(id);
      const { containers, limits } = sandbox.guest();
      return containers.statsContainer(
        { containerId: "" },
        deadlineIn(limits.requestMs, `read the counters of ${id}`),
      );
    },
    closeStdin: refuseExec,
    async resize(execId) {
      refuseExec(execId);
      await noProcess("resize the terminal of");
    },
  };
}

function statusOf(state: SandboxState): ProcessStatus {
  switch (state.name) {
    case "creating":
    case "created":
      return state.name;
    case "running":
    case "stopping":
      return "running";
    case "stopped":
    case "deleted":
      return "stopped";
  }
}
