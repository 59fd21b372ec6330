import type { Deadline } from "../../sys/deadline.ts";
import type { Fault } from "./faults.ts";
import type { Operation } from "./operation.ts";
import type { Site } from "./site.ts";
import { QEMU, runs } from "./targets.ts";

/** What containerd says of the site's pods and containers. */
interface View {
  readonly pods: readonly { readonly id: string; readonly state: string }[];
  readonly containers: readonly {
    readonly id: string;
    readonly podSandboxId: string;
    readonly state: string;
  }[];
}

/**
 * What is wrong with containerd's view; undefined when it is right: a pod that is dead is NOTREADY and its containers have
 * exited, one that is READY has a VM and its containers run. Which of both a fault leaves is only given when it is fatal, and
 * when it struck a VM that another one cannot take the place of: where the first was being restored, a second one boots.
 */
export async function wrongView(
  site: Site,
  operation: Operation,
  fault: Fault,
  deadline: Deadline,
): Promise<string | undefined> {
  const { pods, containers } = await viewOf(site, deadline);
  for (const { id, state } of pods) {
    const ready = state === "SANDBOX_READY";
    const replaced = fault.ofVm === true && operation.makesVm === true && runs(QEMU)(site);
    if (ready && fault.fatal && !replaced) return "the pod is SANDBOX_READY though it is dead";
    if (ready && !runs(QEMU)(site)) return "the pod is SANDBOX_READY and has no VM";
    for (const container of containers.filter(({ podSandboxId }) => podSandboxId === id)) {
      const wrong = await wrongContainer(site, operation, fault, container, ready, deadline);
      if (wrong !== undefined) return `${wrong}; the pod is ${state}`;
    }
  }
  return undefined;
}

async function wrongContainer(
  { work }: Site,
  { endsContainers }: Operation,
  { forgets }: Fault,
  { id, state }: View["containers"][number],
  podIsReady: boolean,
  deadline: Deadline,
): Promise<string | undefined> {
  // It has no task yet, and nothing of it can end.
  if (state === "CONTAINER_CREATED") return undefined;
  if (state === "CONTAINER_RUNNING") return podIsReady ? undefined : "the container is CONTAINER_RUNNING";
  // It was killed between giving back a container's streams and its task; the stop that follows clears it up.
  if (state === "CONTAINER_UNKNOWN" && forgets === true && endsContainers === true) return undefined;
  if (state !== "CONTAINER_EXITED") return `the container is ${state}`;
  if (podIsReady && endsContainers !== true) return "the container is CONTAINER_EXITED";
  const { exitCode, reason } = await work.status(id, deadline);
  return exitCode === 0 || reason === ""
    ? `the container has ended with code ${exitCode} and the reason "${reason}"`
    : undefined;
}

async function viewOf({ work }: Site, deadline: Deadline): Promise<View> {
  const list = async (args: readonly string[]): Promise<object> => {
    const { exitCode, stdout, stderr } = await work.crictl([...args, "--output", "json"], deadline);
    if (exitCode !== 0) throw new Error(`crictl ${args.join(" ")}: ${stderr.trim().slice(-1000)}`);
    return JSON.parse(stdout) as object;
  };
  const { items: pods } = (await list(["pods"])) as { items: View["pods"] };
  const { containers } = (await list(["ps", "--all"])) as Pick<View, "containers">;
  return { pods, containers };
}
