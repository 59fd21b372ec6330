// Requires root, /dev/net/tun, qemu-system-x86_64, and the guest image below build/.
// Kinds of link that the machine's own kernel can make, with traffic to and from a guest; its NICs, looked at from both sides.
import { closeSync, writeSync } from "node:fs";
import { basename } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import test from "ava";
import { parseIp, parseMac } from "../../sys/netlink/address-text.ts";
import { openTap } from "../../sys/tap.ts";
import { frameFrom } from "../fakes/pod-pair.ts";
import { useInventory } from "../harness/fixture.ts";
import { makeNetns, type TestNetns } from "../harness/netns.ts";
import { runOk } from "../harness/run.ts";
import { bootNetworkPod, type NetworkPod, soon } from "./pod.ts";

declare module "../../hypervisor/qmp/commands.ts" {
  interface QmpCommands {
    set_link: { arguments: { name: string; up: boolean }; returns: unknown };
  }
}

const MARK = "tapir-live-";
const VNET_HEADER = 10;

let pod: NetworkPod;
let far: TestNetns;

useInventory(test, MARK, async () => {
  await pod?.[Symbol.asyncDispose]();
  await far?.[Symbol.asyncDispose]();
});

test.before("boot", async () => {
  far = await makeNetns(`${MARK}${process.pid}-far`);
  pod = await bootNetworkPod(MARK, 3);
  await pod.addLink("eth0", 1);
  await pod.network.sync(soon());
});

const sync = (): Promise<void> => pod.network.sync(soon("sync"));
const namesInGuest = async (): Promise<string[]> =>
  (await pod.agent.listInterfaces(soon())).interfaces.map(({ name }) => name).toSorted();
const ipIn = (netns: string, line: string): Promise<string> =>
  runOk({ command: "ip", args: line.split(" "), netns, deadline: soon(`ip ${line}`) });

test.serial("a vxlan whose tunnel is the node's: IPv4 and IPv6 pass it both ways", async (t) => {
  await pod.ipOnNode(
    `link add under type veth peer name wire netns ${far.name}`,
    "addr add 10.200.0.1/24 dev under",
    "link set under up",
    "link add vx type vxlan id 7 local 10.200.0.1 remote 10.200.0.2 dstport 4789",
    `link set vx netns ${basename(pod.netns)}`,
  );
  for (const line of [
    "addr add 10.200.0.2/24 dev wire",
    "link set wire up",
    "link add vx type vxlan id 7 local 10.200.0.2 remote 10.200.0.1 dstport 4789",
    "addr add 10.20.0.1/24 dev vx",
    "addr add fd00:20::1/64 dev vx nodad",
    "link set vx up",
  ]) {
    await ipIn(far.path, line);
  }
  await pod.ip(
    "link set vx name overlay addrgenmode none",
    "addr add 10.20.0.2/24 dev overlay",
    "addr add fd00:20::2/64 dev overlay nodad",
    "link set overlay up",
  );
  await sync();
  t.deepEqual(await namesInGuest(), ["eth0", "overlay"]);
  await pod.equal();
  for (const net of ["10.20.0.", "fd00:20::"]) {
    const args = ["-n", "-c", "1", "-w", "5", "-i", "0.2", `${net}2`];
    await t.notThrowsAsync(runOk({ command: "ping", args, netns: far.path, deadline: soon("ping") }));
    const request = { address: `${net}1`, timeoutMilliseconds: 10_000 };
    await t.notThrowsAsync(pod.agent.ping(request, soon("ping from the guest")));
  }
  await pod.ip("link del overlay");
  await sync();
});

test.serial(
  "a tap that somebody else holds: the guest answers him, and its frames come out of it",
  async (t) => {
    const [fd = -1] = openTap({ netns: pod.netns, name: "slirp", queues: 1 });
    try {
      await pod.ip("link set slirp addrgenmode none", "addr add 10.21.0.2/24 dev slirp", "link set slirp up");
      await sync();
      t.deepEqual(await namesInGuest(), ["eth0", "slirp"]);
      const { interfaces } = await pod.agent.listInterfaces(soon());
      const mac = interfaces.find(({ name }) => name === "slirp")?.mac ?? "";
      writeSync(fd, arpRequest("02:00:00:00:21:01", "10.21.0.1", "10.21.0.2"));
      const isAnswer = (frame: Buffer): boolean =>
        frame.readUInt16BE(12) === 0x0806 && frame.readUInt16BE(20) === 2;
      const answer = await frameFrom([fd], isAnswer, soon("hear the guest"));
      t.is(answer.toString("hex", 6, 12), mac.replaceAll(":", ""), "from the NIC's MAC");
      t.deepEqual(answer.subarray(28, 32), parseIp("10.21.0.2"));
    } finally {
      // The link goes with its last descriptor.
      closeSync(fd);
    }
    await sync();
    t.deepEqual(await namesInGuest(), ["eth0"]);
  },
);

test.serial("QEMU pulls the plug and puts it back: the guest sees both", async (t) => {
  const carrierIs = async (wanted: boolean): Promise<void> => {
    const deadline = soon(`see the carrier ${wanted ? "come" : "go"}`);
    for (let carrier = !wanted; carrier !== wanted; ) {
      const { interfaces } = await pod.agent.listCounters(deadline);
      carrier = interfaces.find(({ name }) => name === "eth0")?.carrier ?? !wanted;
      if (carrier !== wanted) await deadline.race(sleep(50));
    }
  };
  await carrierIs(true);
  const setLink = (up: boolean): Promise<unknown> =>
    pod.vm.qmp.execute("set_link", { name: "net0", up }, soon("set_link"));
  await setLink(false);
  await t.notThrowsAsync(carrierIs(false));
  await t.throwsAsync(pod.ping("10.1.0.2", ["-w", "1"]));
  await setLink(true);
  await t.notThrowsAsync(carrierIs(true));
  await pod.ping("10.1.0.2");
  await pod.ping("fd00:1::2");
});

test.serial("update-iface gives a NIC that is plugged in another MAC", async (t) => {
  const mac = "02:00:00:00:77:01";
  await pod.addLink("net1", 2);
  await sync();
  await pod.ping("10.2.0.2");
  const wish = { device: "", name: "net1", mtu: 0, addresses: [], limits: {} };
  await pod.network.updateInterface({ ...wish, mac }, soon());
  const { interfaces } = await pod.agent.listInterfaces(soon());
  t.is(interfaces.find(({ name }) => name === "net1")?.mac, mac);
  await pod.equal();
  // Nobody remembers the old one.
  await pod.ipOnNode("neigh flush dev far2");
  await pod.ping("10.2.0.2");
  await pod.ping("fd00:2::2");
  await pod.ip("link del net1");
  await sync();
});

function arpRequest(mac: string, address: string, target: string): Buffer {
  const arp = Buffer.from("0001080006040001", "hex");
  const ends = [parseMac(mac), parseIp(address), Buffer.alloc(6), parseIp(target)];
  const header = Buffer.concat([Buffer.alloc(6, 0xff), parseMac(mac), Buffer.of(0x08, 0x06)]);
  return Buffer.concat([Buffer.alloc(VNET_HEADER), header, arp, ...ends]);
}
