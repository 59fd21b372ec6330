// Requires root, /dev/net/tun, qemu-system-x86_64, and the guest image below build/.
// What goes wrong with the NICs of a running pod, below containerd: netns, hypervisor, agent and the shim's network.
// TAPIR_NIC_ROUNDS: how often a NIC comes and goes.
import { execFileSync, spawn } from "node:child_process";
import { statSync } from "node:fs";
import { basename } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import test from "ava";
import { routesFromJson, routeToJson } from "../../cli/network/kata-json.ts";
import type { GuestRoute } from "../../network/guest-network.ts";
import { managementSocket } from "../../shim/state/directory.ts";
import { deadlineIn } from "../../sys/deadline.ts";
import { codeOf, reasonOf } from "../../sys/error.ts";
import { inNetns } from "../../sys/netns.ts";
import { Code } from "../../sys/status.ts";
import { useInventory } from "../harness/fixture.ts";
import { run } from "../harness/run.ts";
import { descriptors, type LinkView, linksOf, rssMib, tapsOf } from "./look.ts";
import { bootNetworkPod, type NetworkPod, soon } from "./pod.ts";

const MARK = "tapir-nicfault-";
const PORTS = 6;
const ROUNDS = Number(process.env.TAPIR_NIC_ROUNDS ?? 12);
/** Of QEMU and of this process, which is the shim here: what 1000 rounds may cost at most. */
const GROWTH_MIB = 24;

let pod: NetworkPod;

useInventory(test, MARK, async () => {
  await pod?.[Symbol.asyncDispose]();
});

test.before("boot", async () => {
  pod = await bootNetworkPod(MARK, PORTS);
  await pod.addLink("eth0", 1);
  await pod.ip("route add default via 10.1.0.1", "route add default via fd00:1::1");
  await pod.network.sync(soon());
});

const sync = (): Promise<void> => pod.network.sync(soon("sync"));
const namesInGuest = async (): Promise<string[]> =>
  (await pod.agent.listInterfaces(soon())).interfaces.map(({ name }) => name).toSorted();
const linksInPod = (): LinkView[] => linksOf(pod.netns);
const taps = (): string[] => tapsOf(pod.netns);
/** A route of the main table through eth0, as `ip` adds it. */
const plain = {
  ...{ gateway: "", device: "eth0", source: "", scope: 0, metric: 0, table: 254, protocol: 3, type: 1 },
  ...{ onLink: false, mtu: 0, metrics: {}, nextHops: [], preference: 0, tos: 0 },
};
const wish = { device: "", name: "", mac: "", mtu: 0, addresses: [], limits: {} };

test.serial(
  `a NIC comes and goes ${ROUNDS} times: descriptors, taps, root ports and memory stay`,
  async (t) => {
    t.timeout(600_000);
    const round = async (): Promise<void> => {
      await pod.addLink("net1", 2);
      await sync();
      await pod.ip("link del net1");
      await sync();
    };
    await round();
    const count = () => [descriptors(pod.vm.pid), descriptors("self"), taps()];
    const [before, rssBefore] = [count(), [rssMib(pod.vm.pid), rssMib("self")]];
    const start = performance.now();
    for (let at = 0; at < ROUNDS; at += 1) await round();
    const ms = (performance.now() - start) / ROUNDS;
    const rss = [rssMib(pod.vm.pid), rssMib("self")].map((now, at) => now - (rssBefore[at] ?? 0));
    t.log(
      `${ms.toFixed(0)} ms a round; RSS of QEMU +${rss[0]?.toFixed(1)}, of the shim +${rss[1]?.toFixed(1)} MiB`,
    );
    t.deepEqual(count(), before);
    t.true(rss.every((grown) => grown < GROWTH_MIB + ROUNDS / 10));
    t.deepEqual(await namesInGuest(), ["eth0"]);
    await pod.equal();
  },
);

test.serial(
  "every root port taken; one more is refused and leaves nothing; others still follow",
  async (t) => {
    // Order of coming and order of names differ: a NIC is known by its MAC.
    const nets = [15, 12, 14, 11, 13];
    for (const net of nets) await pod.addLink(`net${net}`, net);
    await sync();
    t.deepEqual(await namesInGuest(), ["eth0", ...nets.map((net) => `net${net}`).toSorted()]);
    for (const net of nets) await pod.ping(`10.${net}.0.2`);
    const before = [taps(), descriptors(pod.vm.pid)];
    await pod.addLink("toomany", 16);
    await pod.ip("route add 192.0.2.0/24 via 10.1.0.1");
    const refused = await t.throwsAsync(sync());
    t.is(codeOf(refused), Code.RESOURCE_EXHAUSTED);
    t.regex(reasonOf(refused), /root port/);
    t.deepEqual([taps(), descriptors(pod.vm.pid)], before, "no netdev, no tap, no port");
    const { routes } = await pod.agent.listRoutes(soon());
    const told = routes.some(({ destination }) => destination === "192.0.2.0/24");
    t.true(told, "the rest is told");

    // In another order than they came, and back: ports are given again.
    for (const net of [12, 13, 15]) await pod.ip(`link del net${net}`);
    await sync();
    t.true((await namesInGuest()).includes("toomany"));
    await pod.ping("10.16.0.2");
    for (const net of [13, 12]) await pod.addLink(`net${net}`, net);
    await sync();
    for (const net of [11, 12, 13, 14, 16]) await pod.ping(`10.${net}.0.2`);
    await pod.equal();
    await pod.ip(...["net11", "net12", "net13", "net14", "toomany"].map((name) => `link del ${name}`));
    await pod.ip("route del 192.0.2.0/24");
    await sync();
    t.deepEqual(await namesInGuest(), ["eth0"]);
  },
);

test.serial("a tun that comes up is reported by its name, and keeps nothing from the others", async (t) => {
  await pod.ip("tuntap add mode tun tun0", "link set tun0 up", "route add 192.0.2.0/24 via 10.1.0.1");
  const refused = await t.throwsAsync(sync());
  t.regex(reasonOf(refused), /^cannot attach tun0 of netns .*carries no Ethernet frames/);
  const { routes } = await pod.agent.listRoutes(soon());
  t.true(routes.some(({ destination }) => destination === "192.0.2.0/24"));
  t.deepEqual(await pod.network.difference(soon()), [reasonOf(refused)]);
  await t.notThrowsAsync(pod.network.addNeighbors([], soon()), "it is not about that link");
  const added = await t.throwsAsync(pod.network.addInterface({ ...wish, name: "tun0" }, soon()));
  t.regex(reasonOf(added), /attach tun0/);
  await pod.ip("link del tun0", "route del 192.0.2.0/24");
  await sync();
  await pod.equal();
});

test.serial("a NIC goes while packets pass it", async (t) => {
  await pod.addLink("net1", 2);
  await sync();
  await pod.ping("10.2.0.2");
  const flood = inNetns(pod.node, () =>
    spawn("ping", ["-q", "-f", "-s", "1000", "10.2.0.2"], { stdio: "ignore" }),
  );
  const ended = new Promise((resolve) => flood.once("close", resolve));
  try {
    await pod.network.removeInterface({ ...wish, name: "net1" }, soon());
    t.deepEqual(await namesInGuest(), ["eth0"]);
    t.deepEqual(taps(), ["tap0_tapir"]);
  } finally {
    flood.kill();
    await ended;
  }
  await pod.ip("link del net1");
  await sync();
  await pod.ping("10.1.0.2");
});

test.serial(
  "a guest that stands still does not answer: a bounded error, others go on, a later try works",
  async (t) => {
    await pod.addLink("net1", 2);
    await sync();
    const { qmp } = pod.vm;
    await qmp.execute("stop", undefined, soon());
    await pod.ip("link del net1");
    const error = await t.throwsAsync(pod.network.sync(deadlineIn(1500, "sync")));
    t.is(codeOf(error), Code.DEADLINE_EXCEEDED);
    t.false((await qmp.execute("query-status", undefined, soon())).running, "QEMU answers");
    await qmp.execute("cont", undefined, soon());
    await sync();
    t.deepEqual(await namesInGuest(), ["eth0"]);
    t.deepEqual(taps(), ["tap0_tapir"]);
    await pod.equal();
  },
);

test.serial("an unknown MAC is not found", async (t) => {
  const unknown = { ...wish, mac: "02:00:00:00:ff:ff" };
  t.is(codeOf(await t.throwsAsync(pod.network.removeInterface(unknown, soon()))), Code.NOT_FOUND);
  t.is(codeOf(await t.throwsAsync(pod.network.updateInterface(unknown, soon()))), Code.NOT_FOUND);
  const added = await t.throwsAsync(pod.network.addInterface(unknown, soon()));
  t.regex(reasonOf(added), /find link 02:00:00:00:ff:ff:/);
});

test.serial("a name that nothing has is not found, whatever has the MAC", async (t) => {
  const [eth0] = (await pod.agent.listInterfaces(soon())).interfaces;
  const mac = eth0?.mac ?? "";
  const wishes = [
    { ...wish, device: "veth7", mac },
    { ...wish, device: "veth7", name: "net1", mac },
    { ...wish, name: "net1", mac },
  ];
  for (const one of wishes) {
    const error = await t.throwsAsync(pod.network.addInterface(one, soon()));
    t.regex(reasonOf(error), /find link (veth7|net1): neither/);
  }
  const updated = await t.throwsAsync(pod.network.updateInterface({ ...wish, device: "veth7", mac }, soon()));
  t.is(codeOf(updated), Code.NOT_FOUND);
  t.deepEqual(await namesInGuest(), ["eth0"]);
});

test.serial(
  "names of a veth and a bridge are swapped, one of 15 characters; no stopover is left",
  async (t) => {
    await pod.addLink("abcdefghijklmno", 3);
    await pod.addBridge("net1", 2);
    await sync();
    await pod.ip(
      "link set net1 down",
      "link set abcdefghijklmno down",
      "link set net1 name stopover",
      "link set abcdefghijklmno name net1",
      "link set stopover name abcdefghijklmno",
      "link set net1 up",
      "link set abcdefghijklmno up",
    );
    await sync();
    t.deepEqual(await namesInGuest(), ["abcdefghijklmno", "eth0", "net1"]);
    await pod.equal();
    await pod.ping("10.2.0.2");
    await pod.ping("10.3.0.2");
    await pod.ip("link del port2", "link del net1", "link del abcdefghijklmno");
    await sync();
  },
);

test.serial("an update-iface that fails half-way leaves the link as it was", async (t) => {
  const before = linksInPod();
  const bad = { ...wish, device: "eth0", name: "renamed", mac: "02:00:00:00:00:99", mtu: 100_000 };
  const refused = await t.throwsAsync(pod.network.updateInterface(bad, soon()));
  t.regex(reasonOf(refused), /change link eth0/);
  t.deepEqual(linksInPod(), before);
  await sync();
  await pod.equal();
  await pod.ping("10.1.0.2");
  await pod.ping("fd00:1::2");
  const addresses = [
    { address: "10.1.0.2", prefixLength: 24 },
    { address: "10.1.0.9", prefixLength: 240 },
  ];
  await t.throwsAsync(pod.network.updateInterface({ ...wish, name: "eth0", addresses }, soon()));
  await sync();
  await pod.equal();
  await pod.ping("fd00:1::2");
});

const routesInPod = (): string[] =>
  [4, 6].map((family) =>
    execFileSync("ip", ["-n", basename(pod.netns), `-${family}`, "route"], { encoding: "utf8" }),
  );

test.serial("a new address leaves the routes that it can carry", async (t) => {
  const before = routesInPod();
  const to = (address: string) =>
    [address, "fd00:1::2"].map((one) => ({ address: one, prefixLength: one.includes(":") ? 64 : 24 }));
  await pod.network.updateInterface({ ...wish, name: "eth0", addresses: to("10.1.0.3") }, soon());
  t.regex(routesInPod()[0] ?? "", /^default via 10\.1\.0\.1 /m);
  await pod.equal();
  await pod.network.updateInterface({ ...wish, name: "eth0", addresses: to("10.1.0.2") }, soon());
  t.deepEqual(routesInPod(), before);
  await pod.ping("10.1.0.2");
});

test.serial("a limit that is refused takes back what came with it", async (t) => {
  const before = linksInPod();
  execFileSync("tc", ["-n", basename(pod.netns), ..."qdisc add dev eth0 root handle 5: pfifo".split(" ")]);
  const wanted = { ...wish, device: "eth0", name: "renamed", mtu: 1300, limits: { tx: 8_000_000 } };
  const refused = await t.throwsAsync(pod.network.updateInterface(wanted, soon()));
  t.regex(reasonOf(refused), /limit the rate of .*pfifo 5:/);
  execFileSync("tc", ["-n", basename(pod.netns), ..."qdisc del dev eth0 root".split(" ")]);
  t.deepEqual(linksInPod(), before);
  await pod.equal();
  await pod.ping("10.1.0.2");
});

test.serial("an update-routes with a route that cannot be leaves all as they were", async (t) => {
  const before = routesInPod();
  const bad = [
    { ...plain, family: 4, destination: "0.0.0.0/0", gateway: "10.1.0.1", metric: 9 },
    { ...plain, family: 4, destination: "198.51.100.0/24", gateway: "203.0.113.7" },
  ];
  const refused = await t.throwsAsync(pod.network.updateRoutes(bad, soon()));
  t.regex(reasonOf(refused), /add route 198\.51\.100\.0\/24 via 203\.0\.113\.7/);
  t.deepEqual(routesInPod(), before);
});

test.serial("what was changed inside the guest comes back with the next verb", async (t) => {
  await pod.agent.updateRoutes({ routes: [] }, soon());
  t.not((await pod.network.difference(soon())).length, 0);
  await pod.network.addNeighbors([], soon());
  await pod.equal();
});

test.serial("update-routes replaces the whole set: metric, source, on-link, MTU, IPv6", async (t) => {
  const route = plain;
  const wanted = [
    { ...route, family: 4, destination: "0.0.0.0/0", gateway: "10.1.0.1", metric: 9 },
    { ...route, family: 4, destination: "198.51.100.0/24", gateway: "169.254.1.1", onLink: true, mtu: 1300 },
    { ...route, family: 4, destination: "203.0.113.0/24", source: "10.1.0.2", scope: 253 },
    { ...route, family: 6, destination: "::/0", gateway: "fd00:1::1", metric: 1024 },
    { ...route, family: 6, destination: "2001:db8::/32", gateway: "fd00:1::1", metric: 7, mtu: 1400 },
  ];
  for (const _ of [1, 2]) await pod.network.updateRoutes(wanted, soon());
  const listed = (await pod.agent.listRoutes(soon())).routes.filter(({ protocol }) => protocol === 3);
  const text = (one: GuestRoute) =>
    [
      ...[one.destination, one.gateway, one.device, one.metric, one.mtu, one.source],
      ...[one.onLink, one.scope, one.table],
    ].join(" ");
  t.deepEqual(listed.map(text).toSorted(), wanted.map(text).toSorted());
  await pod.equal();
});

test.serial("routes that are listed and given back change nothing in the netns", async (t) => {
  await pod.addLink("net1", 2);
  await pod.ip(
    "route add 198.18.0.0/15 via 10.1.0.1 table 100 mtu 1300 advmss 1200",
    "route add default via 10.1.0.1 table 100 proto static",
    "route add blackhole 203.0.113.128/25 metric 3",
    "route add 192.0.2.0/24 nexthop via 10.1.0.1 weight 2 nexthop via 10.2.0.1",
    "route add 2001:db8:1::/48 nexthop via fd00:1::1 nexthop via fd00:2::1",
    "route add unreachable 2001:db8:2::/48",
    "route add 192.0.2.128/25 tos 8 via 10.1.0.1",
  );
  await sync();
  const all = (): string =>
    execFileSync("ip", ["-n", basename(pod.netns), "route", "show", "table", "all"], { encoding: "utf8" });
  const before = all();
  const monitor = spawn("ip", ["-n", basename(pod.netns), "monitor", "route"]);
  let events = "";
  monitor.stdout.on("data", (data) => {
    events += String(data);
  });
  const json = JSON.stringify((await pod.agent.listRoutes(soon())).routes.map(routeToJson));
  await pod.network.updateRoutes(routesFromJson(JSON.parse(json)), soon());
  t.is(all(), before);
  monitor.kill();
  t.is(events, "");
  await pod.equal();
  await pod.ip("route flush table 100", "link del net1", "route del blackhole 203.0.113.128/25 metric 3");
  await pod.ip("route del unreachable 2001:db8:2::/48", "route del 192.0.2.128/25 tos 8");
  await sync();
});

test.serial("an IPv6 address is usable at once", async (t) => {
  await pod.ip("addr add fd00:1::77/64 dev eth0 nodad");
  await sync();
  // Duplicate address detection would take a second.
  await t.notThrowsAsync(pod.ping("fd00:1::77", ["-W", "0.5", "-w", "1"]));
  await pod.ip("addr del fd00:1::77/64 dev eth0");
  await sync();
});

for (const mtu of [9000, 1400]) {
  test.serial(
    `MTU ${mtu}: tap, device and guest have it, and a packet of that size passes unbroken`,
    async (t) => {
      await pod.ipOnNode(`link set far1 mtu ${mtu}`);
      await pod.ip(`link set eth0 mtu ${mtu}`);
      await sync();
      const ours = linksInPod().filter(({ ifname }) => ifname === "eth0" || ifname.endsWith("_tapir"));
      t.deepEqual(
        ours.map((link) => link.mtu),
        [mtu, mtu],
      );
      t.is((await pod.agent.listInterfaces(soon())).interfaces[0]?.mtu, mtu);
      await t.notThrowsAsync(pod.ping("10.1.0.2", ["-M", "do", "-s", String(mtu - 28)]));
    },
  );
}

test.serial("a link that flaps comes back with all it had", async (t) => {
  await pod.ip("link set eth0 down");
  await sync();
  t.false((await pod.agent.listInterfaces(soon())).interfaces[0]?.up);
  // As CNI would: the kernel took routes and IPv6 addresses away.
  await pod.ip(
    "link set eth0 up",
    "route replace default via 10.1.0.1",
    "addr add fd00:1::2/64 dev eth0 nodad",
    "route replace default via fd00:1::1",
  );
  await sync();
  await pod.equal();
  await pod.ping("10.1.0.2");
  await pod.ping("fd00:1::2");
});

test.serial("a pod that has only IPv6", async (t) => {
  await pod.ip("addr flush dev eth0 to 0.0.0.0/0");
  await sync();
  await pod.equal();
  const [nic] = (await pod.agent.listInterfaces(soon())).interfaces;
  t.true(nic?.addresses.every(({ address }) => address.includes(":")));
  t.true((await pod.agent.listRoutes(soon())).routes.every(({ family }) => family === 6));
  await pod.ping("fd00:1::2");
  await pod.ip("addr add 10.1.0.2/24 dev eth0", "route add default via 10.1.0.1");
  await sync();
});

test.serial("more changes than the netlink socket holds: all of them are in the guest", async (t) => {
  t.timeout(120_000);
  await pod.ip("route add 192.0.2.0/24 via 10.1.0.1");
  pod.network.follow();
  const hasRoute = async (): Promise<boolean> =>
    (await pod.agent.listRoutes(soon())).routes.some(({ destination }) => destination === "192.0.2.0/24");
  for (const deadline = soon("see what came before"); !(await hasRoute()); ) await deadline.race(sleep(100));
  const lines = Array.from({ length: 1500 }, (_, at) => `10.200.${at >> 8}.${at & 255}/32 dev eth0`).flatMap(
    (address) => [`addr add ${address}`, `addr del ${address}`],
  );
  const input = [...lines, "addr add 10.1.0.55/24 dev eth0"].map((line) => `${line}\n`).join("");
  // The event loop stands still meanwhile, as it would on a node without time for us.
  execFileSync("ip", ["-n", pod.netns.replace("/run/netns/", ""), "-batch", "-"], { input });
  const deadline = soon("follow the burst");
  for (let has = false; !has; ) {
    const [nic] = (await pod.agent.listInterfaces(deadline)).interfaces;
    has = nic?.addresses.some(({ address }) => address === "10.1.0.55") ?? false;
    if (!has) await deadline.race(sleep(100));
  }
  await t.notThrowsAsync(pod.equal());
});

test.serial("only root gets at the management socket", async (t) => {
  const path = managementSocket(pod.directory);
  t.is(statSync(path).mode & 0o777, 0o600);
  const dial = `require("node:net").connect(${JSON.stringify(path)}).on("connect",()=>process.exit(0)).on("error",(e)=>{console.log(e.code);process.exit(3)})`;
  const args = ["--reuid=65534", "--regid=65534", "--clear-groups", process.execPath, "-e", dial];
  const { exitCode, stdout } = await run({ command: "setpriv", args, deadline: soon() });
  t.deepEqual([exitCode, stdout.trim()], [3, "EACCES"]);
});
