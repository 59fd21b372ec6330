import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "../network/connect.ts";
import { discover } from "../network/discover.ts";
import { modelNamed } from "../network/models.ts";
import { planNics } from "../network/nic-plan.ts";
import { type Deadline, deadlineIn } from "../sys/deadline.ts";
import { openLedger } from "../sys/ledger.ts";
import { inNetns } from "../sys/netns.ts";
import { openTap } from "../sys/tap.ts";
import { makeNetns } from "../test/harness/netns.ts";
import { findBusybox } from "../test/harness/pause-image.ts";
import { BUILT, built } from "../test/harness/project.ts";
import { runOk } from "../test/harness/run.ts";
import { bareMachine } from "./bare-machine.ts";
import { startBareQemu } from "./bare-qemu.ts";
import { benchCpio, serveLines, writeServices } from "./net-services.ts";
import { startTraffic, type Traffic } from "./net-traffic.ts";

/** How a pod's NIC is connected to the node's bridge. */
export type Way = "floor" | "tcfilter" | "macvtap";

export interface NetArms extends AsyncDisposable {
  /** Names with the pod's address: "runc", "floor", "floor 2q", "tcfilter", ... */
  readonly pods: ReadonlyMap<string, string>;
  /** From the node, and from another pod, which is one of veth. */
  readonly host: Traffic;
  readonly pod: Traffic;
}

const BOOT_MS = 120_000;
const RUNC_NET = 99;
const QUEUES = [1, 2];

/**
 * A bridge; one VM that nothing of ours runs, with a NIC for each way and number of queues, each in a subnet of its own; and
 * a pod without VM. So the ways differ in nothing but what is between bridge and tap.
 */
export async function startNetArms(ways: readonly Way[]): Promise<NetArms> {
  await using made = new AsyncDisposableStack();
  const deadline = deadlineIn(BOOT_MS, "start the pods of bench:net");
  const mark = `tapir-net-${process.pid}`;
  const directory = mkdtempSync(join(tmpdir(), "tapir-net-"));
  made.defer(() => rmSync(directory, { recursive: true }));
  const node = made.use(await makeNetns(mark));
  const ledger = openLedger(join(directory, "state"));
  made.defer(() => ledger.unwind());
  await ip(node.path, deadline, "link add br0 type bridge", "link set br0 up");
  const pods = new Map<string, string>();
  const nics: Nic[] = [];
  for (const [at, { way, queues }] of QUEUES.flatMap((queues) =>
    ways.map((way) => ({ way, queues })),
  ).entries()) {
    const net = at + 1;
    const nic = { mac: `02:00:00:00:50:${net.toString(16).padStart(2, "0")}`, queues };
    await ip(node.path, deadline, `addr add 10.50.${net}.1/24 dev br0`);
    if (way === "floor") {
      const tapFds = openTap({ netns: node.path, name: `tap${net}`, queues });
      await ip(node.path, deadline, `link set tap${net} master br0`, `link set tap${net} up`);
      nics.push({ ...nic, tapFds });
    } else {
      const pod = made.use(await makeNetns(`${mark}-${net}`));
      await veth(node.path, pod.name, net, nic.mac, deadline);
      const found = await discover(pod.path, deadline);
      const model = modelNamed(way);
      const plans = planNics(found, { model, vcpus: queues });
      const [attached] = await connect(found, plans, { model, ledger, vhostNet: false }, deadline);
      nics.push({ ...nic, tapFds: attached?.tapFds ?? [] });
    }
    pods.set(queues === 1 ? way : `${way} ${queues}q`, `10.50.${net}.2`);
  }
  pods.set("runc", `10.50.${RUNC_NET}.2`);
  const runc = made.use(await makeNetns(`${mark}-runc`));
  await ip(node.path, deadline, `addr add 10.50.${RUNC_NET}.1/24 dev br0`);
  await veth(node.path, runc.name, RUNC_NET, "02:00:00:00:50:99", deadline);
  made.use(serveIn(runc.path, join(directory, "services")));
  const other = made.use(await makeNetns(`${mark}-other`));
  await veth(node.path, other.name, 0, "02:00:00:00:50:00", deadline);
  const nets = [...pods.values()].map((address) => address.split(".")[2]);
  await ip(other.path, deadline, ...nets.map((net) => `addr add 10.50.${net}.3/24 dev eth0`));

  const initramfs = join(directory, "initramfs");
  writeFileSync(
    initramfs,
    Buffer.concat([readFileSync(built(join(BUILT.guest, "initramfs.cpio"))), benchCpio()]),
  );
  const qemu = await startBareQemu(...qemuLine(initramfs, join(directory, "console"), nics));
  made.defer(() => qemu.end());
  const host = made.use(startTraffic(node.path));
  const pod = made.use(startTraffic(other.path));
  for (const address of pods.values()) await host.run("reach", address, BOOT_MS);
  for (const address of pods.values()) await pod.run("reach", address, BOOT_MS);
  const kept = made.move();
  return { pods, host, pod, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

interface Nic {
  readonly mac: string;
  readonly queues: number;
  readonly tapFds: readonly number[];
}

function qemuLine(initramfs: string, console: string, nics: readonly Nic[]): [string[], number[]] {
  const inherit = nics.flatMap(({ tapFds }) => tapFds);
  // The child's descriptors are 3, 4, ... in this order.
  const childFd = new Map(inherit.map((fd, at) => [fd, at + 3]));
  const devices = nics.flatMap(({ mac, queues, tapFds }, at) => [
    ...["-netdev", `tap,id=n${at},fds=${tapFds.map((fd) => childFd.get(fd)).join(":")}`],
    "-device",
    `virtio-net-pci,netdev=n${at},mac=${mac},romfile=${queues > 1 ? `,mq=on,vectors=${2 * queues + 2}` : ""}`,
  ]);
  const argv = [
    ...bareMachine({
      ...{ memoryMiB: 256, vcpus: 2, initramfs, init: "/bench/init" },
      console: `file,id=console,path=${console}`,
    }),
    ...devices,
  ];
  return [argv, inherit];
}

/** A veth from the bridge into a pod's namespace, where it is eth0. */
async function veth(node: string, pod: string, net: number, mac: string, deadline: Deadline): Promise<void> {
  const name = `veth${net}`;
  await ip(
    node,
    deadline,
    `link add ${name} type veth peer name eth0 address ${mac} netns ${pod}`,
    `link set ${name} master br0`,
    `link set ${name} up`,
  );
  const lines = net === 0 ? [] : [`addr add 10.50.${net}.2/24 dev eth0`];
  await ip(`/run/netns/${pod}`, deadline, ...lines, "link set eth0 up");
}

async function ip(netns: string, deadline: Deadline, ...lines: readonly string[]): Promise<void> {
  const input = lines.map((line) => `${line}\n`).join("");
  await runOk({ command: "ip", args: ["-batch", "-"], netns, input, deadline });
}

/** The same programs as in the guest, in a namespace. */
function serveIn(netns: string, folder: string): Disposable {
  writeServices(folder, findBusybox());
  const script = `export PATH=${folder}:/bin\n${serveLines(folder)}\nwait`;
  inNetns(netns, () => writeFileSync("/proc/sys/net/ipv4/icmp_ratelimit", "600000"));
  const shell = inNetns(netns, () => spawn("sh", ["-c", script], { stdio: "ignore", detached: true }));
  return { [Symbol.dispose]: () => void process.kill(-(shell.pid ?? 0), "SIGKILL") };
}
