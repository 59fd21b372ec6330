import { deadlineIn } from "../../sys/deadline.ts";
import { addLink, interfacesUntil } from "../harness/guest-interfaces.ts";
import type { TestNode } from "../harness/node.ts";
import { runOk } from "../harness/run.ts";
import type { TestPod, Workloads } from "../harness/workload.ts";

const CYCLE_MS = 300_000;
const CONTAINERS = ["one", "two"];
const LINK = "eth1";

/** The life of one pod: two containers, a command in each, a NIC that comes to the guest and goes, the end. */
export async function lifeOfPod(node: TestNode, work: Workloads, name: string): Promise<void> {
  const deadline = deadlineIn(CYCLE_MS, "a pod's life");
  const pod = await work.pod(name, deadline);
  const { netnsPath: netns } = await node.crictl.inspectp(pod.id, deadline);
  const far = `f${name}`.slice(0, 15);
  await addLink(node, netns, { link: LINK, far }, deadline);
  for (const container of CONTAINERS) await command(work, pod, container);
  await interfacesUntil(node, pod.id, (names) => names.includes(LINK), deadline);
  await runOk({ command: "ip", args: ["link", "del", LINK], deadline, netns });
  await interfacesUntil(node, pod.id, (names) => !names.includes(LINK), deadline);
  await node.crictl.stopp(pod.id, deadline);
  await node.crictl.rmp(pod.id, deadline);
}

/** A container with a command run in it; returns the container's id. */
export async function command(
  work: Workloads,
  pod: TestPod,
  container: string,
  script = "exit 0",
): Promise<{ readonly id: string; readonly stdout: string }> {
  const deadline = deadlineIn(CYCLE_MS, `run a command in ${container}`);
  const id = await pod.start(container, { command: ["sleep", "1000"] }, deadline);
  const { exitCode, stdout, stderr } = await work.execSync(id, ["sh", "-c", script], deadline);
  if (exitCode !== 0) throw new Error(`exec in ${container}: ${exitCode} ${stderr}`);
  return { id, stdout };
}
