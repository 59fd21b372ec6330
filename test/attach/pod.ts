import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ExecutionContext } from "ava";
import { pingFromGuest } from "../../cli/management-client.ts";
import { sandboxDirectory } from "../../shim/state/directory.ts";
import { readTimeline } from "../../shim/state/timeline.ts";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import type { PodConfig } from "../harness/crictl.ts";
import { readGuestState } from "../harness/guest-state.ts";
import type { TestNode } from "../harness/node.ts";
import { PAUSE_IMAGE } from "../harness/pause-image.ts";
import { runOk } from "../harness/run.ts";

const PING_MS = 60_000;
/** Every step of a start that tells how the VM or a NIC of it came to be. */
const TELLING = ["guest boot", "load state", "cache", "hot-plug"] as const;
export type Step = (typeof TELLING)[number];

export interface AttachPod {
  readonly id: string;
  readonly config: PodConfig;
  readonly directory: string;
  readonly netnsPath: string;
  /** Of QEMU. */
  readonly pid: number;
  readonly addresses: readonly string[];
  /** In the order in which they began. */
  readonly steps: readonly Step[];
}

/** Starts a pod whose configuration has these `keys` (section.key) of its own. */
export async function startPod(
  node: TestNode,
  name: string,
  keys: Readonly<Record<string, string>>,
  deadline: Deadline,
  change: Omit<Partial<PodConfig>, "annotations"> = {},
): Promise<AttachPod> {
  const entries = Object.entries(keys).map(([key, value]) => [`io.tapir.config.${key}`, value]);
  const config = node.podConfig(name, { ...change, annotations: Object.fromEntries(entries) });
  const id = await node.crictl.runp(config, "tapir", deadline);
  const directory = sandboxDirectory(node.stateDirectory, "k8s.io", id);
  const steps = readTimeline(directory).steps.map((step) => step.name);
  const told = steps.filter((step): step is Step => TELLING.some((one) => one === step));
  return { ...(await node.crictl.inspectp(id, deadline)), config, directory, steps: told };
}

export async function removePod({ crictl }: TestNode, { id }: AttachPod, deadline: Deadline): Promise<void> {
  await crictl.stopp(id, deadline);
  await crictl.rmp(id, deadline);
}

/** What is true of every pod, whatever its way: guest and netns are equal, and they reach each other, IPv4 and IPv6. */
export async function assertConnected(
  t: ExecutionContext,
  node: TestNode,
  pod: AttachPod,
  links: Readonly<Record<string, { readonly node: readonly string[]; readonly pod: readonly string[] }>>,
): Promise<void> {
  const deadline = deadlineIn(30_000, "reach a pod");
  const { view, netns, differences } = await readGuestState(node.stateDirectory, pod, deadline);
  t.deepEqual(differences, []);
  const names = view.interfaces.map(({ name }) => name).filter((name) => name !== "lo");
  t.deepEqual(names.toSorted(), Object.keys(links).toSorted());
  t.deepEqual(netns.interfaces.map((line) => line.split(" ")[0]).toSorted(), names.toSorted());
  for (const [name, { node: gateways, pod: addresses }] of Object.entries(links)) {
    for (const address of addresses) await t.notThrowsAsync(node.ping(address, deadline), name);
    for (const gateway of gateways) {
      await t.notThrowsAsync(pingFromGuest(pod.directory, gateway, PING_MS), name);
    }
  }
}

/** Whether QEMU writes what the guest writes into the file that is its memory. */
export function sharesMemory(pod: AttachPod): boolean {
  const backend = commandLine(pod).find((word) => /^memory-backend-\w+,id=ram,/.test(word)) ?? "";
  return /share=on/.test(backend);
}

/** What QEMU may take for translated code; undefined when it translates nothing. */
export function translatedMib(pod: AttachPod): number | undefined {
  const accelerator = commandLine(pod).find((word) => /^tcg\b/.test(word));
  return accelerator === undefined ? undefined : Number(/,tb-size=(\d+)/.exec(accelerator)?.[1]);
}

function commandLine({ pid }: AttachPod): string[] {
  return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
}

/** Queues of a pod's tap that its guest has switched on. */
export async function tapQueues({ netnsPath }: AttachPod): Promise<number> {
  const deadline = deadlineIn(10_000, "look at the tap");
  const args = ["-json", "-details", "link", "show", "dev", "tap0_tapir"];
  const [tap] = JSON.parse(await runOk({ command: "ip", args, netns: netnsPath, deadline })) as {
    linkinfo: { info_data: { numqueues?: number } };
  }[];
  return tap?.linkinfo.info_data.numqueues ?? 1;
}

export interface GuestQueues {
  /** In sysfs. */
  readonly names: readonly string[];
  /** How often each queue that receives interrupted meanwhile. */
  readonly received: readonly number[];
}

/** Sends from each processor in a container of the pod, and looks at the queues of its eth0. */
export async function useQueues(
  node: TestNode,
  pod: AttachPod,
  processors: number,
  gateway: string,
): Promise<GuestQueues> {
  const deadline = deadlineIn(60_000, "run a container");
  const pings = Array.from({ length: processors }, (_, cpu) => {
    const mask = (1 << cpu).toString(16);
    return `/bin/busybox taskset ${mask} ping -c 3 -i 0.1 ${gateway} > /dev/null`;
  });
  const script = ["cat /proc/interrupts", ...pings, "echo ---", "cat /proc/interrupts"];
  const looking = ["ls /sys/class/net/eth0/queues", ...script].join(" && ");
  const runScript = await startContainer(node, pod, deadline);
  const [before = "", after = ""] = (await runScript(looking)).split("---");
  const lines = before.split("\n");
  const sums = interruptsOf(before, processors);
  return {
    names: lines.filter((line) => /^[rt]x-\d+$/.test(line)).toSorted(),
    received: interruptsOf(after, processors).map((sum, queue) => sum - (sums[queue] ?? 0)),
  };
}

/** Of each queue that receives, as /proc/interrupts counts them: a number for each processor after the interrupt's own. */
function interruptsOf(text: string, processors: number): number[] {
  return text
    .split("\n")
    .filter((line) => /virtio\d+-input\.\d+/.test(line))
    .map((line) =>
      line
        .trim()
        .split(/\s+/)
        .slice(1, 1 + processors),
    )
    .map((counts) => counts.reduce((sum, count) => sum + Number(count), 0));
}

/** Runs a script in a container; returns what it printed. */
export type RunScript = (script: string) => Promise<string>;

/** A container of the pod, which runs scripts. */
export async function startContainer(node: TestNode, pod: AttachPod, deadline: Deadline): Promise<RunScript> {
  const { name } = pod.config.metadata;
  const write = (what: string, value: unknown): string => {
    const path = join(node.directory, `${what}-${name}.json`);
    writeFileSync(path, JSON.stringify(value));
    return path;
  };
  const container = {
    metadata: { name: "main" },
    image: { image: PAUSE_IMAGE },
    command: ["/pause"],
    linux: { security_context: { capabilities: { add_capabilities: ["NET_RAW"] } } },
  };
  const crictl = async (...args: string[]): Promise<string> => {
    const { exitCode, stdout, stderr } = await node.crictl.run(args, deadline);
    if (exitCode !== 0) throw new Error(`crictl ${args[0]}: ${stderr}${stdout}`);
    return stdout.trim();
  };
  const files = [write("container", container), write("sandbox", pod.config)];
  const id = await crictl("create", "--no-pull", pod.id, ...files);
  await crictl("start", id);
  return (script) => crictl("exec", "--sync", id, "/bin/sh", "-c", script);
}
