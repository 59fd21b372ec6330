import { execFileSync } from "node:child_process";
import { mkdtempSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { TestFn } from "ava";
import type { AttachedNic } from "../../network/attached-nic.ts";
import { connect } from "../../network/connect.ts";
import { discover } from "../../network/discover.ts";
import type { Model } from "../../network/model.ts";
import { planNics } from "../../network/nic-plan.ts";
import type { Deadline } from "../../sys/deadline.ts";
import { errnoOf } from "../../sys/error.ts";
import { type Ledger, openLedger } from "../../sys/ledger.ts";

/** struct virtio_net_hdr, in front of every frame. */
const VNET_HEADER = 10;

/** A pod's namespace whose links lead to another one, which plays the node. */
export interface PodPair {
  /** Names of the two namespaces. */
  readonly pod: string;
  readonly node: string;
  /** Path of the pod's. */
  readonly netns: string;
}

export interface PodPairs {
  /** With links eth0, net1, ...: MAC 02:00:00:00:00:02 and on, 10.9.<n>.2 here and .1 there. */
  make(links?: number): PodPair;
  ledger(): Ledger;
}

export const run = (line: string): string => {
  const [program = "", ...words] = line.split(" ");
  return execFileSync(program, words, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
};

/** Pairs that go, with their ledgers, after the last test. */
export function usePodPairs(test: TestFn): PodPairs {
  const made: string[] = [];
  const directories: string[] = [];
  test.after.always("remove the namespaces", () => {
    for (const one of made) run(`ip netns del ${one}`);
    for (const one of directories) rmSync(one, { recursive: true, force: true });
  });
  return {
    make(links = 1) {
      const [pod, node] = ["pod", "node"].map((side) => `tapir-${side}-${process.pid}-${made.length}`);
      if (pod === undefined || node === undefined) throw new Error("no names");
      for (const name of [pod, node]) {
        run(`ip netns add ${name}`);
        made.push(name);
      }
      for (let at = 0; at < links; at++) addLink({ pod, node }, at);
      return { pod, node, netns: `/run/netns/${pod}` };
    },
    ledger() {
      const directory = mkdtempSync(join(tmpdir(), "tapir-pair-"));
      directories.push(directory);
      return openLedger(directory);
    },
  };
}

function addLink({ pod, node }: { pod: string; node: string }, at: number): void {
  const link = at === 0 ? "eth0" : `net${at}`;
  const mac = `02:00:00:00:00:0${2 + at}`;
  run(`ip -n ${pod} link add ${link} address ${mac} mtu 1400 type veth peer name far${at} netns ${node}`);
  // The kernel's own link-local address would appear in the middle of a comparison.
  run(`ip -n ${pod} link set ${link} addrgenmode none up`);
  run(`ip -n ${node} link set far${at} up mtu 1400`);
  run(`ip -n ${pod} addr add 10.9.${at + 1}.2/24 dev ${link}`);
  run(`ip -n ${node} addr add 10.9.${at + 1}.1/24 dev far${at}`);
}

/** All that Tapir could change in the pod's namespace. */
export function snapshot({ pod }: PodPair): string {
  return ["ip -d link", "ip addr", "ip route show table all", "tc qdisc"]
    .map((line) => run(line.replace(/^(ip|tc)/, `$1 -n ${pod}`)))
    .concat(run(`tc -n ${pod} filter show dev eth0 ingress`))
    .join("\n");
}

/** Discovers, plans and connects, as the shim does. */
export async function attachPair(
  pair: PodPair,
  how: { readonly model: Model; readonly ledger: Ledger; readonly vcpus?: number },
  deadline: Deadline,
): Promise<AttachedNic[]> {
  const { model, ledger, vcpus = 1 } = how;
  const network = await discover(pair.netns, deadline);
  const plans = planNics(network, { model, vcpus });
  return connect(network, plans, { model, ledger, vhostNet: true }, deadline);
}

/** The next frame on a tap that `matches`, without its virtio header. */
export async function frameFrom(
  fds: readonly number[],
  matches: (frame: Buffer) => boolean,
  deadline: Deadline,
): Promise<Buffer> {
  const buffer = Buffer.alloc(70_000);
  for (;;) {
    for (const fd of fds) {
      try {
        const frame = Buffer.from(buffer.subarray(VNET_HEADER, readSync(fd, buffer)));
        if (matches(frame)) return frame;
      } catch (error) {
        if (errnoOf(error) !== "EAGAIN") throw error;
      }
    }
    await sleep(5, undefined, { signal: deadline.signal });
  }
}

export const isArpRequest = (frame: Buffer): boolean =>
  frame.length >= 42 && frame.readUInt16BE(12) === 0x0806 && frame.readUInt16BE(20) === 1;

/** What a guest with `mac` would answer to an ARP request, ready for the tap. */
export function arpReply(request: Buffer, mac: Buffer): Buffer {
  const reply = Buffer.alloc(VNET_HEADER + 42);
  request.copy(reply, VNET_HEADER + 0, 6, 12);
  mac.copy(reply, VNET_HEADER + 6);
  request.copy(reply, VNET_HEADER + 12, 12, 20);
  reply.writeUInt16BE(2, VNET_HEADER + 20);
  mac.copy(reply, VNET_HEADER + 22);
  request.copy(reply, VNET_HEADER + 28, 38, 42);
  request.copy(reply, VNET_HEADER + 32, 22, 32);
  return reply;
}
