import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { deadlineIn } from "../../sys/deadline.ts";
import { unmount } from "../../sys/mount.ts";
import { containerdPaths } from "../harness/containerd-config.ts";
import { run } from "../harness/run.ts";
import type { Answer, Encounter } from "./meeting.ts";
import { closeMonitors, isMonitored, panicGuests, pauseGuests, resumeGuests } from "./monitor.ts";
import type { Subject } from "./operation.ts";
import type { Site } from "./site.ts";
import {
  atCni,
  atShim,
  FILLER,
  fill,
  kill,
  netnsOf,
  pidLimits,
  QEMU,
  runs,
  signal,
  soon,
  VIRTIOFSD,
} from "./targets.ts";

export type Blow = Answer | "nothing";

/** What goes wrong at a step. */
export interface Fault {
  readonly name: string;
  /** Whether the pod's VM or its shim cannot live on: containerd has to see the pod's end. */
  readonly fatal: boolean;
  /** Whether it takes the VM's process away, at once: one that runs then is another. */
  readonly ofVm?: boolean;
  /** Whether containerd may not know what became of a container. */
  readonly forgets?: boolean;
  /** Whether what failed can succeed when it is tried again. */
  readonly passes?: boolean;
  /** Whether a cell takes minutes: deadlines of the product have to pass. */
  readonly slow?: boolean;
  /** Whether it strikes what only a pod with a running guest and containers has. */
  readonly running?: boolean;
  /** The guest does not answer any more, or not for a minute: deadlines of the product pass. */
  readonly mutes?: boolean;
  /** Whoever called waits this much longer, seconds. */
  readonly holdsSeconds?: number;
  /** Whether there is something to strike; to look changes nothing. */
  present?(site: Site, subject: Subject, encounter: Encounter): boolean;
  /** Does it; what the step is told then, or that there was nothing to strike. */
  strike(site: Site, encounter: Encounter, subject: Subject): Promise<Blow> | Blow;
  /** Takes back what would keep the node from being cleaned. */
  heal?(site: Site): Promise<void>;
}

const STALL_SECONDS = 60;
const STALL_MS = STALL_SECONDS * 1000;
/** Of one that happens; a guest that does not run yet is waited for as long. */
const PANIC_MS = 5_000;
const stalls = new WeakMap<Site, Promise<void>>();

function afterStall(site: Site, goOn: () => unknown): void {
  const over = setTimeout(STALL_MS).then(goOn);
  stalls.set(
    site,
    over.then(
      () => undefined,
      () => undefined,
    ),
  );
}

async function stallIsOver(site: Site): Promise<void> {
  await stalls.get(site);
}

export const FAULTS: readonly Fault[] = [
  { name: "step fails", fatal: false, passes: true, strike: () => "error" },
  {
    name: "shim killed",
    fatal: true,
    present: atShim,
    strike(_, { pid }) {
      kill(pid, "SIGKILL");
      return "go";
    },
  },
  {
    name: "QEMU killed",
    fatal: true,
    ofVm: true,
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
    mutes: true,
    holdsSeconds: STALL_SECONDS,
    present: runs(QEMU),
    strike(site) {
      const blow = signal(site, QEMU, "SIGSTOP");
      if (blow === "go") afterStall(site, () => signal(site, QEMU, "SIGCONT"));
      return blow;
    },
    heal: stallIsOver,
  },
  {
    name: "agent stalls for 60 s",
    fatal: false,
    slow: true,
    mutes: true,
    holdsSeconds: STALL_SECONDS,
    present: isMonitored,
    async strike(site) {
      if (!(await pauseGuests(site, soon("pause")))) return "nothing";
      afterStall(site, () => resumeGuests(site, soon("resume")));
      return "go";
    },
    heal: stallIsOver,
  },
  {
    name: "QEMU stopped",
    fatal: false,
    slow: true,
    mutes: true,
    present: runs(QEMU),
    strike: (site) => signal(site, QEMU, "SIGSTOP"),
  },
  {
    name: "virtiofsd stopped",
    fatal: false,
    slow: true,
    mutes: true,
    present: runs(VIRTIOFSD),
    strike: (site) => signal(site, VIRTIOFSD, "SIGSTOP"),
    async heal(site) {
      signal(site, VIRTIOFSD, "SIGCONT");
    },
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
    forgets: true,
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
    name: "containerd stopped",
    fatal: false,
    slow: true,
    holdsSeconds: STALL_SECONDS,
    strike(site): Blow {
      const pid = site.node.containerd.identity().pid;
      kill(pid, "SIGSTOP");
      afterStall(site, () => kill(pid, "SIGCONT"));
      return "go";
    },
    heal: stallIsOver,
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
    present: atShim,
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
      await fill(node.stateDirectory);
      return "go";
    },
    async heal({ node }) {
      rmSync(join(node.stateDirectory, FILLER), { force: true });
    },
  },
  {
    // Where containerd has the bundles of tasks.
    name: "disk full",
    fatal: false,
    async strike({ node }): Promise<Blow> {
      await fill(containerdPaths(node.directory).state);
      return "go";
    },
    async heal({ node }) {
      rmSync(join(containerdPaths(node.directory).state, FILLER), { force: true });
    },
  },
  {
    name: "CNI plugin killed",
    fatal: false,
    present: atCni,
    strike(_, { pid }) {
      kill(pid, "SIGKILL");
      return "go";
    },
  },
  {
    name: "CNI hangs for 60 s",
    fatal: false,
    slow: true,
    holdsSeconds: STALL_SECONDS,
    present: atCni,
    async strike(): Promise<Blow> {
      await setTimeout(STALL_MS);
      return "go";
    },
  },
];
