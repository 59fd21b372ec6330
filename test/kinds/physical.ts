import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, statSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { createQemu } from "../../hypervisor/qemu/qemu.ts";
import { discover } from "../../network/discover.ts";
import { endpointsOf } from "../../network/endpoint.ts";
import { type HandedOver, handOver, withHandedOver } from "../../network/hand-over.ts";
import { modelNamed } from "../../network/models.ts";
import { planNics } from "../../network/nic-plan.ts";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import { type Ledger, openLedger, replayLedger } from "../../sys/ledger.ts";
import { replaceAddress } from "../../sys/netlink/address.ts";
import { listLinks, setLink } from "../../sys/netlink/link.ts";
import type { Link } from "../../sys/netlink/records.ts";
import { openRoute } from "../../sys/netlink/socket.ts";
import { pciDevice } from "../../sys/pci/device.ts";
import { isGroupViable, vfioGroupNode } from "../../sys/pci/vfio-group.ts";
import { identify, type ProcessIdentity } from "../../sys/process.ts";
import { newNetns, snapshot } from "./pod.ts";
import type { PhysicalResult } from "./report.ts";

const soon = (): Deadline => deadlineIn(120_000, "hand a device over");
const NAME = "abcdefghijklmno";
const MAC = "02:00:00:00:0d:01";

/**
 * A NIC of this machine, which has an IOMMU, in a pod's namespace: handed to a QEMU that is confined as every one is, taken
 * from it when the pod ends, and after a crash from whoever still has it.
 */
export async function tryPhysical(): Promise<PhysicalResult> {
  const startMs = performance.now();
  const steps: string[] = [];
  const step = (name: string): unknown => steps.push(`${name} ${Math.round(performance.now() - startMs)}`);
  for (const module of ["vfio-pci", "vfio_iommu_type1"]) execFileSync("/usr/sbin/modprobe", [module]);
  const pod = newNetns();
  await moveNic(pod);
  const before = await snapshot(pod);
  const isBack = async (): Promise<boolean> => (await snapshot(pod)) === before;

  const ledger = openLedger(mkdtempSync("/run/kinds-"));
  step("prepared");
  const vm = await startQemu(ledger);
  step("QEMU");
  const whole = await discover(pod, soon());
  const { endpoints } = endpointsOf(whole, modelNamed("tcfilter"));
  const nics = endpoints.map(({ kind, link }) => `${link.name} ${kind}`);
  const taken = await hand(pod, ledger, identify(vm.pid));
  const { address, group = "", driver = "" } = taken.device;
  const gone = (await discover(pod, soon())).links.length === 0;
  const remembered = withHandedOver(await discover(pod, soon()), [taken]);
  await vm.hostDevices.attach({ id: "net0", address, group }, soon());
  step("attached");
  const owner = statSync(vfioGroupNode(group)).uid;
  const inQemu = owner !== 0 && isInUse(group);
  // The VM was not asked to end: it has the device, and must not keep it.
  await ledger.unwind();
  const unwound = await isBack();

  step("unwound");
  const state = mkdtempSync("/run/kinds-");
  const holder = spawn("/bin/sh", ["-c", `read go; exec 3<>${vfioGroupNode(group)}; echo open; read end`]);
  await hand(pod, openLedger(state), identify(holder.pid ?? -1));
  const opened = new Promise((resolve) => holder.stdout.once("data", resolve));
  holder.stdin.write("go\n");
  await soon().race(opened);
  const { failures } = await replayLedger(state);
  const replayed = failures.length === 0 && (await isBack());

  step("replayed");
  return {
    steps,
    nics,
    handedOver: gone && inQemu && JSON.stringify(remembered.links) === JSON.stringify(whole.links),
    unwound,
    replayed,
    driver: `${driver} ${pciDevice(address)?.driver}`,
  };
}

async function hand(pod: string, ledger: Ledger, user: ProcessIdentity | undefined): Promise<HandedOver> {
  const network = await discover(pod, soon());
  const [plan] = planNics(network, { model: modelNamed("tcfilter"), vcpus: 1 });
  if (plan?.device === undefined) throw new Error("there is no device");
  return handOver(network, plan, plan.device, { ledger, user }, soon());
}

function isInUse(group: string): boolean {
  try {
    isGroupViable(group);
    return false;
  } catch {
    return true;
  }
}

/** As a CNI would: the node's NIC, with a name, a MAC, an MTU and addresses of the pod's. */
async function moveNic(pod: string): Promise<void> {
  using node = openRoute();
  const isNic = ({ kind, parent }: Link): boolean => kind === undefined && parent !== undefined;
  let nic: Link | undefined;
  for (let tries = 0; nic === undefined && tries < 100; tries += 1) {
    nic = (await listLinks(node, soon())).find(isNic);
    if (nic === undefined) await sleep(50);
  }
  if (nic === undefined) throw new Error("this machine has no NIC");
  await setLink(node, nic, { netnsFd: Number(pod.split("/").at(-1)), name: NAME }, soon());
  using inPod = openRoute({ netns: pod });
  const link = (await listLinks(inPod, soon())).find(({ name }) => name === NAME);
  if (link === undefined) throw new Error("the NIC is gone");
  await setLink(inPod, link, { mac: MAC, mtu: 1400, alias: "host-name" }, soon());
  await setLink(inPod, link, { up: true }, soon());
  const plain = {
    peer: undefined,
    broadcast: undefined,
    scope: 0,
    flags: 0,
    label: undefined,
    routeMetric: 0,
  };
  const wanted = { index: link.index, family: 4, address: "10.5.0.2", prefixLength: 24, ...plain } as const;
  await replaceAddress(inPod, wanted, soon());
}

/** QEMU of the node (test/kinds/node-disk.ts), as the shim starts it. Its guest is none: nobody waits for it. */
async function startQemu(ledger: Ledger) {
  const directory = ledger.directory;
  mkdirSync("/run/node", { recursive: true });
  execFileSync("/bin/mount", ["-t", "erofs", "-o", "ro", "/dev/vda", "/run/node"]);
  execFileSync("/bin/mount", ["-t", "overlay", "-o", "lowerdir=/run/node/usr:/usr", "none", "/usr"]);
  const image = "/run/image";
  writeFileSync(image, Buffer.alloc(1 << 20));
  return createQemu().start(
    {
      ...{ name: "device", directory, qemu: "/usr/bin/qemu-system-x86_64", vcpus: 1, memoryMiB: 64 },
      ...{ kernel: "/usr/boot/vmlinuz", initramfs: image, image, imageDriver: "virtio-blk" },
      ...{ accelerator: "tcg", rootPorts: 1, kernelParameters: [], nics: [] },
    },
    ledger,
    soon(),
  );
}
