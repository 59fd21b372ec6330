import { deadlineIn } from "../../sys/deadline.ts";
import type { TestNode } from "../harness/node.ts";
import { runOk } from "../harness/run.ts";
import type { Workloads } from "../harness/workload.ts";

const CYCLE_MS = 120_000;
const CONTAINERS = ["one", "two"];

/** The life of one pod: two containers, a command in each, a NIC that comes and goes, the end. */
export async function lifeOfPod(node: TestNode, work: Workloads, name: string): Promise<void> {
  const deadline = deadlineIn(CYCLE_MS, `a pod's life`);
  const pod = await work.pod(name, deadline);
  const { netnsPath: netns } = await node.crictl.inspectp(pod.id, deadline);
  const ip = (...args: string[]): Promise<string> => runOk({ command: "ip", args, deadline, netns });
  await ip("link", "add", "eth1", "type", "veth", "peer", "name", "eth2");
  for (const container of CONTAINERS) {
    const id = await pod.start(container, { command: ["sleep", "1000"] }, deadline);
    const { exitCode, stderr } = await work.execSync(id, ["sh", "-c", "exit 0"], deadline);
    if (exitCode !== 0) throw new Error(`exec in ${container} of ${name}: ${exitCode} ${stderr}`);
  }
  await ip("link", "del", "eth1");
  await node.crictl.stopp(pod.id, deadline);
  await node.crictl.rmp(pod.id, deadline);
}
