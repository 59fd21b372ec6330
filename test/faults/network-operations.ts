import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import type { Deadline } from "../../sys/deadline.ts";
import { BUILT } from "../harness/project.ts";
import { type RunResult, run, runOk } from "../harness/run.ts";
import type { Operation, Subject } from "./operation.ts";
import type { Site } from "./site.ts";

const SPARE = "spare";
const LOOK_AGAIN_MS = 100;

type Prepare = Operation["prepare"];

/** What operators change by `tapir network`, of pods that `pod` starts. */
export function networkOperations(pod: Prepare, limitSeconds: number): Operation[] {
  const operation = (verb: string, input: unknown, prepare: Prepare = pod): Operation => ({
    name: verb,
    life: "network",
    limitSeconds,
    prepare,
    async run(site, subject, deadline) {
      await change(site, subject, verb, input, deadline);
      return {};
    },
    settled: becomesEqual,
  });
  const address = { Family: 2, Address: "10.77.0.2", Mask: "24" };
  return [
    {
      ...operation("add-iface", { Name: SPARE, IPAddresses: [address] }, withSpare(pod)),
      tidy: removeSpare,
    },
    operation("update-routes", [{ Dest: "192.0.2.0/24", Gateway: "10.88.0.1", Device: "eth0" }]),
    operation("del-iface", { Name: "eth0" }),
    // Afterwards no other finds its link.
    {
      ...operation("update-iface", { Device: "eth0", Name: "renamed", Mtu: 1300 }),
      life: "link",
    },
  ];
}

/** The node has a link that the pod may get. */
const withSpare =
  (pod: Prepare): Prepare =>
  async (site, deadline, before) => {
    const subject = await pod(site, deadline, before);
    const args = ["link", "add", `far-${SPARE}`, "type", "veth", "peer", "name", SPARE];
    await runOk({ command: "ip", args, netns: site.node.netns, deadline });
    return subject;
  };

/** It went with the pod that got it. */
async function removeSpare({ node }: Site, deadline: Deadline): Promise<void> {
  await run({ command: "ip", args: ["link", "del", `far-${SPARE}`], netns: node.netns, deadline });
}

function tapir(
  { node }: Site,
  { pod }: Subject,
  verb: string,
  input: unknown,
  deadline: Deadline,
): Promise<RunResult> {
  return run({
    command: join(BUILT.shim, "tapir"),
    args: ["network", verb, pod?.id ?? "", ...(input === undefined ? [] : ["-"])],
    env: { ...process.env, TAPIR_CONFIG: join(node.directory, "configuration.toml") },
    deadline,
    ...(input === undefined ? {} : { input: JSON.stringify(input) }),
  });
}

async function change(
  site: Site,
  subject: Subject,
  verb: string,
  input: unknown,
  deadline: Deadline,
): Promise<void> {
  const { exitCode, stderr } = await tapir(site, subject, verb, input, deadline);
  if (exitCode !== 0) throw new Error(`tapir network ${verb}: ${stderr.trim().slice(-1000)}`);
}

/** Netns and guest are equal: what failed was taken back, or is brought to its end. */
async function becomesEqual(site: Site, subject: Subject, deadline: Deadline): Promise<void> {
  for (;;) {
    const { exitCode, stdout, stderr } = await tapir(site, subject, "diff", undefined, deadline);
    if (exitCode === 0 && stdout === "") return;
    if (deadline.remainingMs() < LOOK_AGAIN_MS) throw new Error(`tapir network diff: ${stdout}${stderr}`);
    await setTimeout(LOOK_AGAIN_MS);
  }
}
