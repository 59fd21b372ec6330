// Requires root, containerd, CNI plugins, QEMU and what the set-up puts below build/.
// Hops between node and guest are broken on purpose, one after another: `tapir network trace` names each.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { pingFromGuest } from "../../cli/management-client.ts";
import { sandboxDirectory } from "../../shim/state/directory.ts";
import { deadlineIn } from "../../sys/deadline.ts";
import { pauseGuests, resumeGuests } from "../faults/monitor.ts";
import type { PodStatus } from "../harness/crictl.ts";
import { useNode } from "../harness/fixture.ts";
import { PAUSE_IMAGE } from "../harness/pause-image.ts";
import { BUILT } from "../harness/project.ts";
import { type RunResult, run, runOk } from "../harness/run.ts";

const node = useNode(test);
let pod: PodStatus;
let container: string;

interface Side {
  readonly fault: string;
  readonly packetsInWindow?: number;
}
interface Traced {
  readonly link: string;
  readonly hops: readonly { readonly hop: string; readonly object: string; readonly toGuest: Side }[];
  readonly toGuest: { readonly stopsAt: string; readonly reason: string };
  readonly fromGuest: { readonly stopsAt: string; readonly reason: string };
}

const soon = (job: string) => deadlineIn(60_000, job);

function trace(...options: readonly string[]): Promise<RunResult> {
  return run({
    command: join(BUILT.shim, "tapir"),
    args: ["network", "trace", pod.id.slice(0, 12), "--seconds", "0.3", ...options],
    env: { ...process.env, TAPIR_CONFIG: join(node().directory, "configuration.toml") },
    deadline: soon("trace"),
  });
}

async function traced(): Promise<Traced> {
  const { stdout, stderr } = await trace("--json");
  const [path] = JSON.parse(stdout || "[]") as Traced[];
  if (path === undefined) throw new Error(`no path: ${stderr}`);
  return path;
}

const inPod = (line: string): Promise<string> => inNetns(pod.netnsPath, line);
const onNode = (line: string): Promise<string> => inNetns(node().netns, line);
function inNetns(netns: string, line: string): Promise<string> {
  const [command = "", ...args] = line.split(" ");
  return runOk({ command, args, netns, deadline: soon(line) });
}
const inGuest = (...words: readonly string[]): Promise<string> => crictlOk("exec", "-s", container, ...words);
async function crictlOk(...args: readonly string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await node().crictl.run(args, soon(`crictl ${args[0]}`));
  if (exitCode !== 0) throw new Error(`crictl ${args.join(" ")}: ${stderr}`);
  return stdout.trim();
}

test.serial("a pod starts, with a container that may change its network", async (t) => {
  const { crictl, podConfig, directory } = node();
  pod = await crictl.inspectp(await crictl.runp(podConfig("vm"), "tapir", soon("start")), soon("start"));
  const files = ["container", "pod"].map((name) => join(directory, `${name}.json`));
  const [containerFile = "", podFile = ""] = files;
  writeFileSync(podFile, JSON.stringify(podConfig("vm")));
  writeFileSync(
    containerFile,
    JSON.stringify({
      metadata: { name: "admin" },
      image: { image: PAUSE_IMAGE },
      linux: { security_context: { capabilities: { add_capabilities: ["NET_ADMIN"] } } },
    }),
  );
  container = await crictlOk("create", "--no-pull", pod.id, containerFile, podFile);
  await crictlOk("start", container);
  t.regex(await inGuest("ip", "link", "show", "eth0"), /UP/);
});

test.serial("nothing broken: six hops count, and packets pass them both ways", async (t) => {
  const { link, hops, toGuest, fromGuest } = await traced();
  t.is(link, "eth0");
  t.deepEqual(
    hops.map(({ hop }) => hop),
    ["host link", "pod link", "tc filter", "tap", "virtio queue", "guest NIC"],
  );
  t.regex(hops[0]?.object ?? "", /^veth.* \(port of tapir0\)$/);
  t.true(hops.every(({ toGuest: { packetsInWindow = 0, fault } }) => packetsInWindow > 0 && fault === ""));
  t.is(toGuest.stopsAt, "");
  t.is(fromGuest.stopsAt, "");
  const { exitCode, stdout } = await trace();
  t.is(exitCode, 0);
  t.log(`\n${stdout}`);
  t.regex(stdout, /^HOP +WHAT +TO GUEST +NOW/);
  t.regex(stdout, /^eth0: packets to the guest pass every hop$/m);
});

test.serial("the filter to the guest is removed", async (t) => {
  await inPod("tc filter del dev eth0 ingress");
  const { toGuest, fromGuest } = await traced();
  t.deepEqual(toGuest.stopsAt, "tc filter");
  t.regex(toGuest.reason, /no filter redirects eth0 to tap0_tapir/);
  t.is(fromGuest.stopsAt, "");
  const { exitCode, stdout } = await trace();
  t.is(exitCode, 1);
  t.regex(stdout, /^eth0: packets to the guest stop at the tc filter: /m);
  await inPod(
    "tc filter add dev eth0 ingress prio 61440 protocol all u32 match u32 0 0 action mirred egress redirect dev tap0_tapir",
  );
  t.is((await traced()).toGuest.stopsAt, "");
});

test.serial("somebody's filter takes what comes before ours: only the counters tell", async (t) => {
  await inPod(
    "tc filter add dev eth0 ingress prio 1 protocol all u32 match u32 0 0 action mirred egress redirect dev lo",
  );
  const { toGuest } = await traced();
  t.is(toGuest.stopsAt, "tc filter");
  t.regex(toGuest.reason, /^of \d+ that passed the pod link none passed it$/);
  await inPod("tc filter del dev eth0 ingress prio 1");
});

test.serial("the filter from the guest is removed", async (t) => {
  await inPod("tc filter del dev tap0_tapir ingress");
  const { fromGuest, toGuest } = await traced();
  t.is(fromGuest.stopsAt, "tc filter");
  t.regex(fromGuest.reason, /no filter redirects tap0_tapir to eth0/);
  t.not(toGuest.stopsAt, "tc filter");
  await inPod(
    "tc filter add dev tap0_tapir ingress prio 61440 protocol all u32 match u32 0 0 action mirred egress redirect dev eth0",
  );
});

test.serial("a gateway that has a link-local address only can be probed", async (t) => {
  const address = /inet6 (fe80::[0-9a-f:]+)/.exec(await onNode("ip -6 addr show dev tapir0"))?.[1];
  const directory = sandboxDirectory(node().stateDirectory, "k8s.io", pod.id);
  await t.notThrowsAsync(pingFromGuest(directory, `${address}%eth0`, 10_000));
});

test.serial("the tap is down, the guest's link is down, the node's end is down", async (t) => {
  await inPod("ip link set tap0_tapir down");
  const tapDown = await traced();
  t.is(tapDown.toGuest.stopsAt, "tap");
  t.is(tapDown.fromGuest.stopsAt, "tap");
  await inPod("ip link set tap0_tapir up");

  await inGuest("ip", "link", "set", "eth0", "down");
  const guestDown = await traced();
  t.is(guestDown.toGuest.stopsAt, "guest NIC");
  t.is(guestDown.fromGuest.stopsAt, "guest NIC");
  t.is(guestDown.fromGuest.reason, "it is down in the guest");
  await inGuest("ip", "link", "set", "eth0", "up");

  const veth = (await traced()).hops[0]?.object.split(" ")[0] ?? "";
  await onNode(`ip link set ${veth} down`);
  const nodeDown = await traced();
  t.is(nodeDown.toGuest.stopsAt, "host link");
  t.is(nodeDown.fromGuest.stopsAt, "host link");
  await onNode(`ip link set ${veth} up`);
});

test.serial(
  "the guest stands still: it is named, and what it does not take is not its hops' fault",
  async (t) => {
    const site = { node: node() };
    t.true(await pauseGuests(site, soon("pause")));
    const { hops, toGuest, fromGuest } = await traced();
    await resumeGuests(site, soon("resume"));
    t.is(toGuest.stopsAt, "guest NIC");
    t.is(fromGuest.stopsAt, "guest NIC");
    t.regex(fromGuest.reason, /^the guest does not answer: /);
    t.true(hops.every(({ hop, toGuest: { fault } }) => (fault === "") === (hop !== "guest NIC")));
    t.is((await traced()).toGuest.stopsAt, "");
  },
);

test.serial("the pod's link is down", async (t) => {
  await inPod("ip link set eth0 down");
  const { toGuest, fromGuest } = await traced();
  t.is(toGuest.stopsAt, "pod link");
  t.is(toGuest.reason, "it is down");
  t.true(["pod link", "guest NIC"].includes(fromGuest.stopsAt), "the guest's follows it");
  await inPod("ip link set eth0 up");
});

test.serial("what cannot be traced is said so", async (t) => {
  t.regex((await trace("--seconds", "99")).stderr, /cannot count for 99 seconds/);
});
