// Requires root, containerd, CNI plugins, QEMU and what the set-up puts below build/.
// The shim fails, or is killed, between two steps of what `tapir network` does: netns and guest are equal then, or the pod is
// cleanly gone.
import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import test from "ava";
import { pingFromGuest } from "../../cli/management-client.ts";
import { sandboxDirectory } from "../../shim/state/directory.ts";
import { deadlineIn } from "../../sys/deadline.ts";
import { ledgerOwner } from "../../sys/ledger.ts";
import { unmount } from "../../sys/mount.ts";
import { waitForExit } from "../../sys/process.ts";
import { type Meeting, openMeeting } from "../faults/meeting.ts";
import type { PodStatus } from "../harness/crictl.ts";
import { useNode } from "../harness/fixture.ts";
import { BUILT } from "../harness/project.ts";
import { type RunResult, run, runOk } from "../harness/run.ts";

const MEETING = join("/run", `tapir-killed-${process.pid}.sock`);
let meeting: Meeting;
test.serial.before("open the meeting", async () => {
  meeting = await openMeeting(MEETING);
});
const node = useNode(test, { env: { TAPIR_FAILPOINTS: `meet:${MEETING}` } });
test.serial.after.always("close the meeting", () => meeting[Symbol.asyncDispose]());
const soon = (job: string) => deadlineIn(240_000, job);
const directoryOf = ({ id }: PodStatus): string => sandboxDirectory(node().stateDirectory, "k8s.io", id);

/** The next shim that comes to the step fails there, or is killed. */
function strikeAt(wanted: string, blow: "error" | "kill"): void {
  meeting.attend(({ pid, step }) => {
    if (step !== wanted) return "go";
    meeting.attend(undefined);
    if (blow === "error") return "error";
    process.kill(pid, "SIGKILL");
    return "go";
  });
}

let pods: PodStatus[] = [];
let links = 0;

/** A veth of the node's, for a pod to get. */
async function spare(): Promise<string> {
  const name = `spare${++links}`;
  const args = ["link", "add", `far-${name}`, "type", "veth", "peer", "name", name];
  await runOk({ command: "ip", args, netns: node().netns, deadline: soon("add a veth") });
  return name;
}

function tapir({ id }: PodStatus, verb: string, input?: unknown): Promise<RunResult> {
  return run({
    command: join(BUILT.shim, "tapir"),
    args: ["network", verb, id, ...(input === undefined ? [] : ["-"])],
    env: { ...process.env, TAPIR_CONFIG: join(node().directory, "configuration.toml") },
    deadline: soon(`tapir network ${verb}`),
    ...(input === undefined ? {} : { input: JSON.stringify(input) }),
  });
}

async function becomesEqual(pod: PodStatus): Promise<void> {
  const deadline = deadlineIn(30_000, "netns and guest are equal");
  for (;;) {
    const { exitCode, stdout } = await tapir(pod, "diff");
    if (exitCode === 0 && stdout === "") return;
    await deadline.race(sleep(100));
  }
}

interface Wish {
  readonly verb: string;
  readonly step: string;
  input(): Promise<unknown>;
}
const add = async (limits = {}) => ({
  ...limits,
  Name: await spare(),
  IPAddresses: [{ Family: 2, Address: `10.77.${links}.2`, Mask: "24" }],
});
const KILLED: readonly Wish[] = [
  ...["network.changed", "network.tap!", "network.plugged"].map((step) => ({
    ...{ verb: "add-iface", step, input: () => add() },
  })),
  ...["network.changed", "network.unplugged"].map((step) => ({
    ...{ verb: "del-iface", step, input: async () => ({ Name: "eth0" }) },
  })),
  {
    verb: "update-iface",
    step: "network.changed",
    input: async () => ({ Device: "eth0", Name: "renamed", Mtu: 1300 }),
  },
  {
    verb: "update-routes",
    step: "network.changed",
    input: async () => [{ Dest: "192.0.2.0/24", Gateway: "10.88.0.1", Device: "eth0" }],
  },
  {
    verb: "add-neigh",
    step: "network.changed",
    input: async () => [{ Address: "10.88.0.9", Device: "eth0", HwAddr: "02:00:00:00:00:09" }],
  },
];

test.serial("pods start, one for each step", async (t) => {
  const { crictl, podConfig } = node();
  const start = async (at: number): Promise<PodStatus> => {
    const id = await crictl.runp(podConfig(`pod${at}`), "tapir", soon("start a pod"));
    return crictl.inspectp(id, soon("inspect"));
  };
  // Two at a time are as fast as all at once.
  for (let at = 0; at <= KILLED.length; at += 2) {
    const some = [at, at + 1].filter((one) => one <= KILLED.length);
    pods = [...pods, ...(await Promise.all(some.map(start)))];
  }
  t.is(pods.length, KILLED.length + 1);
});

for (const step of [
  "network.changed",
  "network.tap",
  "network.filter!",
  "network.limit",
  "network.plugged",
]) {
  test.serial(`add-iface fails at ${step}: tried again, then all is as wanted, limits too`, async (t) => {
    const pod = pods.at(-1);
    if (pod === undefined) return t.fail("no pod");
    strikeAt(step, "error");
    const limits = { RxRateLimiterMaxRate: 8_000_000 };
    const { exitCode, stderr } = await tapir(pod, "add-iface", await add(limits));
    const failedMs = performance.now();
    t.is(exitCode, 1);
    t.regex(stderr, new RegExp(`failpoint ${step}`));
    await becomesEqual(pod);
    t.log(`as wanted after ${Math.round(performance.now() - failedMs)} ms`);
    t.regex((await tapir(pod, "list-ifaces")).stdout, new RegExp(`^spare${links} .* 8000000 bit/s +- `, "m"));
  });
}

test.serial("limits that fail half-way are what they were", async (t) => {
  const pod = pods.at(-1);
  if (pod === undefined) return t.fail("no pod");
  strikeAt("network.limit", "error");
  const both = { RxRateLimiterMaxRate: 4_000_000, TxRateLimiterMaxRate: 4_000_000 };
  const { exitCode, stderr } = await tapir(pod, "update-iface", { Name: `spare${links}`, ...both });
  t.is(exitCode, 1);
  t.regex(stderr, /failpoint network\.limit/);
  t.regex((await tapir(pod, "list-ifaces")).stdout, new RegExp(`^spare${links} .* 8000000 bit/s +- `, "m"));
});

const FAILING: readonly Wish[] = [
  { verb: "add-iface", step: "network.moved", input: () => add() },
  ...["network.renamed", "network.addressed"].map((step) => ({
    ...{ verb: "update-iface", step },
    input: async () => ({
      ...{ Device: "eth0", Name: "renamed", Mtu: 1300, HwAddr: "02:00:00:00:00:88" },
      IPAddresses: [{ Family: 2, Address: "10.88.200.2", Mask: "16" }],
    }),
  })),
  { verb: "del-iface", step: "network.downed", input: async () => ({ Name: "eth0" }) },
  ...["network.unrouted", "network.routed"].map((step) => ({
    ...{ verb: "update-routes", step },
    input: async () => [{ Dest: "192.0.2.0/24", Gateway: "10.88.0.1", Device: "eth0" }],
  })),
  {
    verb: "add-neigh",
    step: "network.neighbored",
    input: async () => [{ Address: "10.88.0.9", Device: "eth0", HwAddr: "02:00:00:00:00:09" }],
  },
];

for (const { verb, step, input } of FAILING) {
  test.serial(`${verb} fails at ${step}: the netns is as it was`, async (t) => {
    const pod = pods.at(-1);
    if (pod === undefined) return t.fail("no pod");
    const wish = await input();
    const ip = (netns: string, line: string): Promise<string> =>
      runOk({ command: "ip", args: line.split(" "), netns, deadline: soon(`ip ${line}`) });
    const what = ["-o link", "-o addr", "-4 route", "-6 route", "neigh show nud permanent"];
    // How far the kernel is with an address or a carrier is its own affair.
    const settled = (text: string): string =>
      text.replaceAll(/ tentative| nodad| state \S+|,?(LOWER_UP|M-DOWN|NO-CARRIER),?/g, "");
    const view = async (): Promise<string[]> => {
      const lines = await Promise.all(what.map((line) => ip(pod.netnsPath, line)));
      const onNode = await ip(node().netns, "-o link show type veth");
      return [...lines, onNode].map((text) => settled(text).split("\n").toSorted().join("\n"));
    };
    const before = await view();
    strikeAt(step, "error");
    const { exitCode, stderr } = await tapir(pod, verb, wish);
    t.is(exitCode, 1);
    t.regex(stderr, new RegExp(`failpoint ${step}`));
    t.deepEqual(await view(), before);
    await becomesEqual(pod);
    // The node has it back, and keeps it.
    if (verb === "add-iface") await ip(node().netns, `link del spare${links}`);
  });
}

test.serial(
  "the netns is taken away under a running pod: the guest lives on, and the pod stops cleanly",
  async (t) => {
    const pod = pods.pop();
    if (pod === undefined) return t.fail("no pod");
    unmount(pod.netnsPath);
    rmSync(pod.netnsPath);
    await t.notThrowsAsync(pingFromGuest(directoryOf(pod), "10.88.0.1", 10_000));
    const { crictl } = node();
    await crictl.stopp(pod.id, soon("stop"));
    await crictl.rmp(pod.id, soon("remove"));
    t.false(existsSync(directoryOf(pod)));
  },
);

for (const [at, { verb, step, input }] of KILLED.entries()) {
  test.serial(`the shim is killed at ${step} of ${verb}: the pod is cleanly gone`, async (t) => {
    const pod = pods[at];
    if (pod === undefined) return t.fail("no pod");
    const shim = ledgerOwner(directoryOf(pod));
    const wish = await input();
    strikeAt(step, "kill");
    const { exitCode } = await tapir(pod, verb, wish);
    t.is(exitCode, 1);
    if (shim === undefined) return t.fail("no shim");
    const deadline = soon("see the pod's end");
    // Its sockets are closed a moment before it is gone.
    await t.notThrowsAsync(waitForExit(shim, deadline), "it was killed");
    const { crictl } = node();
    while ((await crictl.inspectp(pod.id, deadline)).state !== "SANDBOX_NOTREADY") {
      await deadline.race(sleep(50));
    }
    await crictl.stopp(pod.id, deadline);
    await crictl.rmp(pod.id, deadline);
    // Links, qdiscs, processes and mounts are the inventory's after the last test.
    while (readdirSync(`${node().stateDirectory}/k8s.io`).includes(pod.id)) await deadline.race(sleep(50));
  });
}
