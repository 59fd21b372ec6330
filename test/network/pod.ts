import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { QemuVm } from "../../hypervisor/qemu/vm.ts";
import type { Agent } from "../../shim/agent-client.ts";
import { assemble } from "../../shim/config/schema.ts";
import type { Log } from "../../shim/log.ts";
import { serveManagement } from "../../shim/management.ts";
import { openPodNetwork, type PodNetwork } from "../../shim/sandbox/network.ts";
import { sandboxDirectory } from "../../shim/state/directory.ts";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import { type Ledger, openLedger } from "../../sys/ledger.ts";
import { bootGuest, type GuestVm } from "../harness/guest-vm.ts";
import { makeNetns, type TestNetns } from "../harness/netns.ts";
import { runOk } from "../harness/run.ts";

export const soon = (job = "test"): Deadline => deadlineIn(60_000, job);

/** A pod's network below containerd: netns, guest and the shim's part of it, and a netns that plays the node's. */
export interface NetworkPod extends AsyncDisposable {
  readonly netns: string;
  readonly node: string;
  readonly vm: QemuVm;
  readonly agent: Agent;
  readonly network: PodNetwork;
  /** Of the pod. */
  readonly directory: string;
  readonly ledger: Ledger;
  /** `ip` in the pod's netns, one line after another. */
  ip(...lines: readonly string[]): Promise<void>;
  ipOnNode(...lines: readonly string[]): Promise<void>;
  /** Gives the pod a link: 10.<net>.0.2/24 and fd00:<net>::2/64 here, .1 and ::1 on the node's end, far<net>. */
  addLink(name: string, net: number): Promise<void>;
  /** The same with a bridge, of which a veth to the node is a port. */
  addBridge(name: string, net: number): Promise<void>;
  /** Pings the guest from the node until the first answer. */
  ping(address: string, options?: readonly string[]): Promise<void>;
  /** Resolves when netns and guest are equal; else rejects with what differs. */
  equal(): Promise<void>;
}

const silent: Log = { debug() {}, info() {}, warn() {}, error() {} };

/** Boots a guest without NIC; what the netns says comes with the first sync, or by itself after `network.follow()`. */
export async function bootNetworkPod(mark: string, rootPorts: number): Promise<NetworkPod> {
  await using made = new AsyncDisposableStack();
  const place = mkdtempSync(join(tmpdir(), mark));
  made.defer(() => rmSync(place, { recursive: true }));
  const pod: TestNetns = made.use(await makeNetns(`${mark}${process.pid}-pod`));
  const node: TestNetns = made.use(await makeNetns(`${mark}${process.pid}-node`));
  const guest: GuestVm = made.use(await bootGuest(mark, [], rootPorts));
  const { vm, agent } = guest;
  const directory = sandboxDirectory(place, "test", "pod");
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const ledger = openLedger(directory);
  const settings = {
    configuration: assemble(new Map()),
    accelerator: "tcg" as const,
    timeoutMs: () => 20_000,
  };
  const context = { netns: pod.path, settings, ledger, vm, agent, nics: [], requestMs: 20_000, log: silent };
  const network = openPodNetwork(context);
  made.defer(async () => {
    await network.close();
    await ledger.unwind();
  });
  await serveManagement({ agent, network }, ledger, 20_000);
  const ipIn =
    (netns: string) =>
    async (...lines: readonly string[]): Promise<void> => {
      const input = lines.map((line) => `${line}\n`).join("");
      await runOk({ command: "ip", args: ["-batch", "-"], netns, input, deadline: soon("ip") });
    };
  const ip = ipIn(pod.path);
  const ipOnNode = ipIn(node.path);
  const addressing = (name: string, net: number): string[] => [
    // The kernel would make its own address at a time of its own.
    `link set ${name} addrgenmode none`,
    `addr add 10.${net}.0.2/24 dev ${name}`,
    `addr add fd00:${net}::2/64 dev ${name} nodad`,
    `link set ${name} up`,
  ];
  const cable = (name: string, net: number): Promise<void> =>
    ipOnNode(
      `link add far${net} type veth peer name ${name} netns ${pod.name}`,
      `addr add 10.${net}.0.1/24 dev far${net}`,
      `addr add fd00:${net}::1/64 dev far${net} nodad`,
      `link set far${net} up`,
    );
  const kept = made.move();
  return {
    ...{ netns: pod.path, node: node.path, vm, agent, network, directory, ledger, ip, ipOnNode },
    async addLink(name, net) {
      await cable(name, net);
      await ip(...addressing(name, net));
    },
    async addBridge(name, net) {
      await cable(`port${net}`, net);
      await ip(
        `link add ${name} type bridge`,
        `link set port${net} addrgenmode none`,
        `link set port${net} master ${name}`,
        `link set port${net} up`,
        ...addressing(name, net),
      );
    },
    async ping(address, options = []) {
      const args = ["-n", "-c", "1", "-w", "5", "-i", "0.2", ...options, address];
      await runOk({ command: "ping", args, netns: node.path, deadline: soon(`ping ${address}`) });
    },
    async equal() {
      const lines = await network.difference(soon("compare"));
      if (lines.length > 0) throw new Error(lines.join("\n"));
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}
