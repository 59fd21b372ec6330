import { existsSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { sandboxDirectory } from "../../shim/state/directory.ts";
import { readTimeline } from "../../shim/state/timeline.ts";
import type { Deadline } from "../../sys/deadline.ts";
import { readNames } from "../../sys/inventory/read.ts";
import { readLedger } from "../../sys/ledger.ts";
import { socketDirectoryOf } from "../harness/dismantle.ts";
import { addLink, interfacesUntil } from "../harness/guest-interfaces.ts";
import { runOk } from "../harness/run.ts";
import type { TestPod } from "../harness/workload.ts";
import { networkOperations } from "./network-operations.ts";
import type { Operation, Subject } from "./operation.ts";
import type { Site } from "./site.ts";

/** Longer than any deadline of the product under TCG: 120 s to make a pod or container, as long again to take it back. */
const CALL_SECONDS = 270;
/** What asks the guest something: seconds when it answers, and 20 s when it does not. */
const ASK_SECONDS = 60;
/** An exec that the guest does not start: 120 s for that, 20 s each for ending and forgetting it. */
const MUTE_EXEC_SECONDS = 180;
/** Seconds after which its caller ends it, as those of probes do: of a guest that stands still nobody ever hears its end. */
const EXEC_TIMEOUT = "45";
/** A guest that does not answer a SIGKILL within 20 s loses its VM, which has 15 s to stop. */
const STOP_SECONDS = 45;
/** One that does not tell of a killed container's end, because its files stand still, does so after 120 s, and has 15 s to stop. */
const MUTE_STOP_SECONDS = 150;
const REMOVE_SECONDS = 60;
/** The monitor tries again after at most 5 s. */
const WAIT_SECONDS = 20;
const SLEEP = { command: ["sleep", "1000"] };
const LINK = "eth9";
const SHARE_MS = 8_000;
/** What a fault keeps from being undone is not waited for longer. */
const UNDO_MS = 8_000;
const LOOK_AGAIN_MS = 100;
/** The step of the pod's timeline after which there is nothing more to do for the share. */
const SHARE_MOUNTED = "mount share";

type WithPod = Subject & { readonly pod: TestPod };

async function pod(site: Site, deadline: Deadline, before: Subject): Promise<WithPod> {
  if (before.pod !== undefined) return { ...before, pod: before.pod };
  const made = await site.work.pod("faulty", deadline);
  const { netnsPath } = await site.node.crictl.inspectp(made.id, deadline);
  return { pod: made, netns: netnsPath };
}

async function created(site: Site, deadline: Deadline, before: Subject): Promise<WithPod> {
  const subject = await pod(site, deadline, before);
  if (subject.container !== undefined) return subject;
  return { ...subject, container: await subject.pod.create("one", SLEEP, deadline) };
}

async function running(site: Site, deadline: Deadline, before: Subject): Promise<WithPod> {
  const subject = await created(site, deadline, before);
  return subject.started === true ? subject : { ...subject, ...(await start(site, subject, deadline)) };
}

async function start(site: Site, { container = "" }: Subject, deadline: Deadline): Promise<Subject> {
  await crictl(site, ["start", container], deadline);
  return { started: true };
}

async function plugged(site: Site, deadline: Deadline, before: Subject): Promise<WithPod> {
  const subject = await pod(site, deadline, before);
  return subject.plugged === true ? subject : { ...subject, ...(await plug(site, subject, deadline)) };
}

/** As CNI does for a network that is added later; the monitor sees it. */
async function plug(site: Site, { pod: target, netns = "" }: Subject, deadline: Deadline): Promise<Subject> {
  await addLink(site.node, netns, { link: LINK, far: `${LINK}-far` }, deadline);
  await interfacesUntil(site.node, target?.id ?? "", (names) => names.includes(LINK), deadline);
  return { plugged: true };
}

async function unplug(
  site: Site,
  { pod: target, netns = "" }: Subject,
  deadline: Deadline,
): Promise<Subject> {
  await runOk({ command: "ip", args: ["link", "del", LINK], deadline, netns });
  await interfacesUntil(site.node, target?.id ?? "", (names) => !names.includes(LINK), deadline);
  // The guest has let go of it; the host's side follows.
  await over(() => isUnplugged(site, target?.id ?? ""), deadline);
  return { plugged: false };
}

/** Until the pod has its folder share. When it cannot, the container's start tries again: then the wait is over some time. */
async function shareSettled({ node }: Site, id: string, deadline: Deadline): Promise<void> {
  const limit = deadline.within(SHARE_MS, "see the folder share");
  const directory = sandboxDirectory(node.stateDirectory, "k8s.io", id);
  while (!limit.signal.aborted && existsSync(directory)) {
    if (laterSteps(directory).includes(SHARE_MOUNTED)) return;
    await setTimeout(LOOK_AGAIN_MS);
  }
}

/** Looks until something is over; a fault may keep it from that, and then it is not waited for longer. */
async function over(isOver: () => boolean, deadline: Deadline): Promise<void> {
  const limit = deadline.within(UNDO_MS, "see the end of it");
  while (!limit.signal.aborted && !isOver()) await setTimeout(LOOK_AGAIN_MS);
}

/** The shim has undone everything and has ended, which gives its socket back. */
function isUndone({ node }: Site, id: string): boolean {
  const directory = sandboxDirectory(node.stateDirectory, "k8s.io", id);
  return !existsSync(directory) && readNames(socketDirectoryOf(node.mark)).length === 0;
}

/** The pod has the NIC that it began with. */
function isUnplugged({ node }: Site, id: string): boolean {
  const entries = readLedger(sandboxDirectory(node.stateDirectory, "k8s.io", id));
  return entries.filter(({ step }) => step === "network.tap").length <= 1;
}

/** None when the file is being written, or gone. */
function laterSteps(directory: string): string[] {
  try {
    return readTimeline(directory).later.map(({ name }) => name);
  } catch {
    return [];
  }
}

async function crictl(site: Site, args: readonly string[], deadline: Deadline): Promise<void> {
  const { exitCode, stderr } = await site.work.crictl(args, deadline);
  if (exitCode !== 0) throw new Error(`crictl ${args.join(" ")}: ${stderr.trim().slice(-1000)}`);
}

export const OPERATIONS: readonly Operation[] = [
  {
    name: "runp",
    life: "containers",
    makesVm: true,
    limitSeconds: CALL_SECONDS,
    prepare: async (_, __, before) => before,
    run: (site, subject, deadline) => pod(site, deadline, subject),
  },
  {
    name: "create",
    life: "share",
    limitSeconds: CALL_SECONDS,
    prepare: pod,
    async run(site, { pod: target }, deadline) {
      // containerd makes a container without a word to the shim; the pod gets ready for it by itself.
      site.meeting.letGo();
      await target?.create("one", SLEEP, deadline);
      await shareSettled(site, target?.id ?? "", deadline);
      return {};
    },
  },
  {
    name: "start",
    life: "containers",
    limitSeconds: ASK_SECONDS,
    muteSeconds: CALL_SECONDS,
    endsContainers: true,
    prepare: created,
    run: start,
  },
  {
    name: "exec",
    life: "containers",
    limitSeconds: ASK_SECONDS,
    muteSeconds: MUTE_EXEC_SECONDS,
    prepare: running,
    async run(site, { container = "" }, deadline) {
      await crictl(
        site,
        ["exec", "--sync", "--timeout", EXEC_TIMEOUT, container, "sh", "-c", "exit 0"],
        deadline,
      );
      return {};
    },
  },
  {
    name: "update",
    life: "containers",
    limitSeconds: ASK_SECONDS,
    prepare: running,
    async run(site, { container = "" }, deadline) {
      await crictl(site, ["update", "--cpu-share", "512", container], deadline);
      return {};
    },
  },
  { name: "plug", life: "nics", limitSeconds: WAIT_SECONDS, waits: true, prepare: pod, run: plug },
  { name: "unplug", life: "nics", limitSeconds: WAIT_SECONDS, waits: true, prepare: plugged, run: unplug },
  ...networkOperations(pod, CALL_SECONDS),
  {
    name: "stop",
    life: "containers",
    limitSeconds: STOP_SECONDS,
    muteSeconds: MUTE_STOP_SECONDS,
    endsContainers: true,
    prepare: running,
    async run(site, { pod: target }, deadline) {
      await crictl(site, ["stopp", target?.id ?? ""], deadline);
      // containerd answers when the pod has ended, while the shim is still undoing.
      await over(() => isUndone(site, target?.id ?? ""), deadline);
      return { stopped: true };
    },
  },
  {
    name: "remove",
    life: "containers",
    limitSeconds: REMOVE_SECONDS,
    endsContainers: true,
    async prepare(site, deadline, before) {
      if (before.stopped === true) return before;
      const subject = await running(site, deadline, before);
      await crictl(site, ["stopp", subject.pod.id], deadline);
      return subject;
    },
    async run(site, { pod: target }, deadline) {
      await crictl(site, ["rmp", target?.id ?? ""], deadline);
      return {};
    },
  },
];
