import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deadlineIn } from "../sys/deadline.ts";
import { openLedger } from "../sys/ledger.ts";
import { inNetns } from "../sys/netns.ts";
import { makeNetns } from "../test/harness/netns.ts";
import { findBusybox } from "../test/harness/pause-image.ts";
import { addressOf, ENDS } from "./net-ends.ts";
import { armsOf, ip, makeNic, makePort, type Nic, type Place, type Way } from "./net-place.ts";
import { serveLines, writeServices } from "./net-services.ts";
import { startTraffic, type Traffic, trafficOfGuest } from "./net-traffic.ts";
import { startAskingVm, startServingVm } from "./net-vm.ts";

export interface NetArms extends AsyncDisposable {
  /** Names with the pod's address: "runc", "floor", "floor 2q", "tcfilter", ... */
  readonly pods: ReadonlyMap<string, string>;
  /** From the node, and from another pod, which is one of veth. */
  readonly host: Traffic;
  readonly pod: Traffic;
  /** From another VM, whose NIC is connected as that of the pod it talks to. */
  readonly vm: Traffic;
}

const BOOT_MS = 120_000;
const RUNC_NET = 99;

/**
 * A bridge; two VMs that nothing of ours runs, each with a NIC for each way and number of queues, each in a subnet of its own;
 * and a pod without VM. So the ways differ in nothing but what is between bridge and tap.
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
  const place: Place = { mark, node: node.path, ledger, made };
  const arms = armsOf(ways);
  const nets = [...arms.map(({ net }) => net), RUNC_NET];
  await ip(node.path, deadline, ...nets.map((net) => `addr add 10.50.${net}.1/24 dev br0`));
  const [serving, asking]: [Nic[], Nic[]] = [[], []];
  for (const arm of arms) {
    serving.push(await makeNic(place, arm, ENDS.serving, deadline));
    asking.push(await makeNic(place, arm, ENDS.asking, deadline));
  }
  const runc = made.use(await makeNetns(`${mark}-runc`));
  await makePort(place, runc.name, RUNC_NET, ENDS.serving, deadline);
  made.use(serveIn(runc.path, join(directory, "services")));
  const other = made.use(await makeNetns(`${mark}-other`));
  await makePort(place, other.name, RUNC_NET, ENDS.other, deadline);
  const further = arms.map(({ net }) => `addr add ${addressOf(net, ENDS.other)}/24 dev eth0`);
  await ip(other.path, deadline, ...further);

  const vms = await Promise.all([startServingVm(directory, serving), startAskingVm(directory, asking)]);
  for (const vm of vms) made.defer(() => vm.end());
  const host = made.use(startTraffic(node.path));
  const pod = made.use(startTraffic(other.path));
  const pods = new Map(arms.map(({ name, net }) => [name, addressOf(net, ENDS.serving)]));
  pods.set("runc", addressOf(RUNC_NET, ENDS.serving));
  const asks = addressOf(arms[0]?.net ?? RUNC_NET, ENDS.asking);
  for (const address of [...pods.values(), asks]) await host.run("reach", address, BOOT_MS);
  const vm = made.use(trafficOfGuest(node.path, asks));
  for (const [name, address] of pods) {
    await pod.run("reach", address, BOOT_MS);
    if (name !== "runc") await vm.run("reach", address, BOOT_MS);
  }
  const kept = made.move();
  return { pods, host, pod, vm, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/** The same programs as in the guest, in a namespace. */
function serveIn(netns: string, folder: string): Disposable {
  writeServices(folder, findBusybox());
  const script = `export PATH=${folder}:/bin\n${serveLines(folder)}\nwait`;
  inNetns(netns, () => writeFileSync("/proc/sys/net/ipv4/icmp_ratelimit", "600000"));
  const shell = inNetns(netns, () => spawn("sh", ["-c", script], { stdio: "ignore", detached: true }));
  return { [Symbol.dispose]: () => void process.kill(-(shell.pid ?? 0), "SIGKILL") };
}
