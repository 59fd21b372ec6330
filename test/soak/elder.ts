import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { sandboxDirectory } from "../../shim/state/directory.ts";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import { listProcesses } from "../../sys/inventory/processes.ts";
import { addLink, interfacesUntil } from "../harness/guest-interfaces.ts";
import type { TestNode } from "../harness/node.ts";
import { run, runOk } from "../harness/run.ts";
import type { Workloads } from "../harness/workload.ts";
import { command } from "./cycle.ts";
import { numberIn } from "./sample.ts";

const NAME = "elder";
const LIVE_MS = 300_000;
const LINK = { link: "eth1", far: "felder" };
/** Seen from any container; the columns of /proc/cgroups are name, hierarchy, number, enabled. */
const LOOK = "cat /proc/meminfo /proc/cgroups";

/** What a pod that goes on living has; each figure must not grow with what happens in it. */
export interface ElderSample {
  readonly "RSS of the shim, KiB": number;
  readonly "descriptors of the shim": number;
  readonly "threads of the shim": number;
  /** Without the guest's memory, which is shared. */
  readonly "anonymous memory of QEMU, KiB": number;
  readonly "descriptors of QEMU": number;
  /** Without the pages of the guest's memory that it has read or written, which are the guest's. */
  readonly "anonymous memory of virtiofsd, KiB": number;
  readonly "descriptors of virtiofsd": number;
  readonly "state directory, KiB": number;
  readonly "guest: memory in use, KiB": number;
  readonly "guest: slab that cannot be reclaimed, KiB": number;
  readonly "guest: memory cgroups": number;
}

/** A pod that lives on while others come and go. */
export interface Elder {
  readonly id: string;
  readonly name: string;
  /** A container, a command in it and a NIC come and go; what it has then. */
  live(): Promise<ElderSample>;
}

export async function openElder(node: TestNode, work: Workloads): Promise<Elder> {
  const deadline = deadlineIn(LIVE_MS, "start a pod that lives on");
  const pod = await work.pod(NAME, deadline);
  const { netnsPath: netns, pid: qemu } = await node.crictl.inspectp(pod.id, deadline);
  const directory = sandboxDirectory(node.stateDirectory, "k8s.io", pod.id);
  let lives = 0;
  let failed = false;
  /** What a life left that failed. */
  const clear = async (limit: Deadline): Promise<void> => {
    const { stdout } = await work.crictl(["ps", "--all", "--quiet", "--pod", pod.id], limit);
    for (const id of stdout.split("\n").filter(Boolean)) await work.crictl(["rm", "--force", id], limit);
    await run({ command: "ip", args: ["link", "del", LINK.link], deadline: limit, netns });
  };
  return {
    id: pod.id,
    name: NAME,
    async live() {
      if (failed) await clear(deadlineIn(LIVE_MS, "clear up"));
      failed = true;
      lives += 1;
      const limit = deadlineIn(LIVE_MS, "live on");
      const { id, stdout } = await command(work, pod, `c${lives}`, LOOK);
      await addLink(node, netns, LINK, limit);
      await interfacesUntil(node, pod.id, (names) => names.includes(LINK.link), limit);
      await runOk({ command: "ip", args: ["link", "del", LINK.link], deadline: limit, netns });
      await interfacesUntil(node, pod.id, (names) => !names.includes(LINK.link), limit);
      const shim = workerOf(node, new RegExp(`containerd-shim-tapir-v2.*-id ${pod.id}`));
      const share = workerOf(node, new RegExp(`virtiofsd.*${pod.id}`));
      const { exitCode, stderr } = await work.crictl(["rm", "--force", id], limit);
      if (exitCode !== 0) throw new Error(`remove a container of ${NAME}: ${stderr}`);
      failed = false;
      return {
        "RSS of the shim, KiB": statusOf(shim, RSS),
        "descriptors of the shim": descriptorsOf(shim),
        "threads of the shim": readdirSync(`/proc/${shim}/task`).length,
        "anonymous memory of QEMU, KiB": statusOf(qemu, ANONYMOUS),
        "descriptors of QEMU": descriptorsOf(qemu),
        "anonymous memory of virtiofsd, KiB": statusOf(share, ANONYMOUS),
        "descriptors of virtiofsd": descriptorsOf(share),
        "state directory, KiB": sizeOf(directory) >> 10,
        "guest: memory in use, KiB":
          numberIn(stdout, /^MemTotal:\s+(\d+)/m) - numberIn(stdout, /^MemAvailable:\s+(\d+)/m),
        "guest: slab that cannot be reclaimed, KiB": numberIn(stdout, /^SUnreclaim:\s+(\d+)/m),
        "guest: memory cgroups": numberIn(stdout, /^memory\s+\d+\s+(\d+)/m),
      };
    },
  };
}

const RSS = /^VmRSS:\s+(\d+)/m;
const ANONYMOUS = /^RssAnon:\s+(\d+)/m;
const statusOf = (pid: number, field: RegExp): number =>
  numberIn(readFileSync(`/proc/${pid}/status`, "utf8"), field);
const descriptorsOf = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;

/** The C virtiofsd is two processes of one name: a parent that waits for the one that serves, and that may leak. */
function workerOf(node: TestNode, program: RegExp): number {
  const found = Object.entries(listProcesses(node.mark).things)
    .filter(([, line]) => program.test(line))
    .map(([identity]) => Number.parseInt(identity, 10));
  const waiting = new Set(found.map((pid) => statusOf(pid, /^PPid:\s+(\d+)/m)));
  const [worker, ...others] = found.filter((pid) => !waiting.has(pid));
  if (worker === undefined || others.length > 0)
    throw new Error(`${found.length} processes are ${program}: ${found.join(" ")}`);
  return worker;
}

/** Of the pod's own files; what is shared with the guest is mounted there, and others'. */
function sizeOf(directory: string): number {
  return readdirSync(directory, { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, { name }) => sum + statSync(join(directory, name)).size, 0);
}
