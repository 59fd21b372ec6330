import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import { readMounts } from "../../sys/inventory/mountinfo.ts";
import { listProcesses } from "../../sys/inventory/processes.ts";
import { unmount } from "../../sys/mount.ts";
import { run } from "../harness/run.ts";
import type { Answer, Encounter } from "./meeting.ts";
import { closeMonitors, isMonitored, panicGuests, pauseGuests, resumeGuests } from "./monitor.ts";
import type { Subject } from "./operations.ts";
import type { Site } from "./site.ts";

export type Blow = Answer | "nothing";

/** What goes wrong at a step. */
export interface Fault {
  readonly name: string;
  /** Whether the pod's VM or its shim cannot live on: containerd has to see the pod's end. */
  readonly fatal: boolean;
  /** Whether what failed can succeed when it is tried again. */
  readonly passes?: boolean;
  /** Whether a cell takes minutes: deadlines of the product have to pass. */
  readonly slow?: boolean;
  /** Whether it strikes what only a pod with a running guest and containers has. */
  readonly running?: boolean;
  /** Whether there is something to strike; to look changes nothing. */
  present?(site: Site, subject: Subject): boolean;
  /** Does it; what the step is told then, or that there was nothing to strike. */
  strike(site: Site, encounter: Encounter, subject: Subject): Promise<Blow> | Blow;
  /** Takes back what would keep the node from being cleaned. */
  heal?(site: Site): Promise<void>;
}

const RESTART_MS = 30_000;
const soon = (job: string): Deadline => deadlineIn(RESTART_MS, job);
const FILLER = "filler";
const QEMU = /^\S*qemu-system/;
const VIRTIOFSD = /^\S*virtiofsd/;
const STALL_MS = 60_000;
/** Of one that happens; a guest that does not run yet is waited for as long. */
const PANIC_MS = 5_000;
const stalls = new WeakMap<Site, Promise<void>>();

export const FAULTS: readonly Fault[] = [
  { name: "step fails", fatal: false, passes: true, strike: () => "error" },
  {
    name: "shim killed",
    fatal: true,
    strike(_, { pid }) {
      kill(pid, "SIGKILL");
      return "go";
    },
  },
  {
    name: "QEMU killed",
    fatal: true,
    running: true,
    present: runs(QEMU),
    strike: (site) => signal(site, QEMU, "SIGKILL"),
  },
  {
    // The agent is process 1 of the guest: its end is the kernel's.
    name: "guest panics",
    fatal: true,
    running: true,
    present: isMonitored,
    strike: async (site) => ((await panicGuests(site, deadlineIn(PANIC_MS, "panic"))) ? "go" : "nothing"),
  },
  {
    name: "QMP closed",
    fatal: false,
    running: true,
    present: isMonitored,
    strike: (site) => (closeMonitors(site) ? "go" : "nothing"),
  },
  {
    name: "VM stalls for 60 s",
    fatal: false,
    slow: true,
    present: runs(QEMU),
    strike(site) {
      const blow = signal(site, QEMU, "SIGSTOP");
      const goOn = async (): Promise<void> => {
        await setTimeout(STALL_MS);
        signal(site, QEMU, "SIGCONT");
      };
      if (blow === "go")
        stalls.set(
          site,
          goOn().catch(() => undefined),
        );
      return blow;
    },
    heal: async (site) => stalls.get(site),
  },
  {
    name: "agent stalls for 60 s",
    fatal: false,
    slow: true,
    present: isMonitored,
    async strike(site) {
      if (!(await pauseGuests(site, soon("pause")))) return "nothing";
      const goOn = async (): Promise<void> => {
        await setTimeout(STALL_MS);
        await resumeGuests(site, soon("resume"));
      };
      stalls.set(
        site,
        goOn().catch(() => undefined),
      );
      return "go";
    },
    heal: async (site) => stalls.get(site),
  },
  {
    name: "QEMU stopped",
    fatal: false,
    slow: true,
    present: runs(QEMU),
    strike: (site) => signal(site, QEMU, "SIGSTOP"),
  },
  {
    name: "virtiofsd killed",
    fatal: false,
    running: true,
    present: runs(VIRTIOFSD),
    strike: (site) => signal(site, VIRTIOFSD, "SIGKILL"),
  },
  {
    name: "containerd killed",
    fatal: false,
    async strike({ node }): Promise<Blow> {
      await node.containerd.kill9(soon("kill containerd"));
      // The step goes on while nobody listens.
      return "go";
    },
    async heal({ node }) {
      if (node.containerd.running() === undefined) await node.containerd.start(soon("start containerd"));
      await node.crictl.ready(soon("reach containerd"));
    },
  },
  {
    name: "netns removed",
    fatal: false,
    present: (site, subject) => netnsOf(site, subject) !== undefined,
    strike(site, _, subject) {
      const path = netnsOf(site, subject);
      if (path === undefined) return "nothing";
      unmount(path);
      rmSync(path, { force: true });
      return "go";
    },
  },
  {
    name: "no descriptors",
    fatal: false,
    async strike(_, { pid }): Promise<Blow> {
      const args = ["--pid", String(pid), "--nofile=16:16"];
      await run({ command: "prlimit", args, deadline: soon("limit descriptors") });
      return "go";
    },
  },
  {
    name: "no processes",
    fatal: false,
    present: (site) => pidLimits(site).length > 0,
    strike(site) {
      const files = pidLimits(site);
      for (const file of files) writeFileSync(file, "1");
      return files.length === 0 ? "nothing" : "go";
    },
    async heal(site) {
      for (const file of pidLimits(site)) writeFileSync(file, "max");
    },
  },
  {
    name: "state full",
    fatal: false,
    async strike({ node }): Promise<Blow> {
      const file = join(node.stateDirectory, FILLER);
      await run({
        command: "dd",
        args: ["if=/dev/zero", `of=${file}`, "bs=64k"],
        deadline: soon("fill tmpfs"),
      });
      return "go";
    },
    async heal({ node }) {
      rmSync(join(node.stateDirectory, FILLER), { force: true });
    },
  },
];

function kill(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It is gone already.
  }
}

const processesOf = ({ node }: Site, program: RegExp): number[] =>
  Object.entries(listProcesses(node.mark).things)
    .filter(([, commandLine]) => program.test(commandLine))
    .map(([key]) => Number(key.split("@")[0]));

function runs(program: RegExp): (site: Site) => boolean {
  return (site) => processesOf(site, program).length > 0;
}

function signal(site: Site, program: RegExp, name: NodeJS.Signals): Blow {
  const pids = processesOf(site, program);
  for (const pid of pids) kill(pid, name);
  return pids.length === 0 ? "nothing" : "go";
}

/** Of a pod that is being started containerd has not said yet where it is. */
function netnsOf({ node }: Site, { netns }: Subject): string | undefined {
  if (netns !== undefined) return existsSync(netns) ? netns : undefined;
  const namespaces = readMounts().filter(({ type, target }) => type === "nsfs" && target.includes(node.mark));
  return namespaces.map(({ target }) => target).find((target) => target !== node.netns);
}

/** Of the pods' parent, in either version of cgroups. */
function pidLimits({ node }: Site): string[] {
  return ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"]
    .map((root) => join(root, node.mark, "pids.max"))
    .filter((file) => existsSync(file));
}
