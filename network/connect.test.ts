// Needs root and /dev/net/tun: makes and removes network namespaces, all traffic stays in them.
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import test from "ava";
import { deadlineIn } from "../sys/deadline.ts";
import { errnoOf, TapirError } from "../sys/error.ts";
import { type Ledger, openLedger, readLedger, replayLedger } from "../sys/ledger.ts";
import { Code } from "../sys/status.ts";
import type { AttachedNic } from "./attached-nic.ts";
import { connect } from "./connect.ts";
import { discover } from "./discover.ts";
import { modelNamed } from "./models.ts";
import { planNics } from "./nic-plan.ts";

const POD_MAC = "02:00:00:00:00:02";
/** struct virtio_net_hdr, in front of every frame. */
const VNET_HEADER = 10;

const soon = () => deadlineIn(60_000, "test tcfilter");
const model = modelNamed("tcfilter");
const run = (line: string): string => {
  const [program = "", ...words] = line.split(" ");
  return execFileSync(program, words, { encoding: "utf8" });
};

interface Pair {
  readonly pod: string;
  readonly node: string;
  readonly netns: string;
}

let pairs = 0;
const made: string[] = [];
const directories: string[] = [];

/** A pod's namespace with eth0 and net1, their other ends in a namespace that plays the node. */
function makePair(): Pair {
  const pod = `tapir-pod-${process.pid}-${++pairs}`;
  const node = `tapir-node-${process.pid}-${pairs}`;
  made.push(pod, node);
  run(`ip netns add ${pod}`);
  run(`ip netns add ${node}`);
  for (const [link, mac, subnet] of [
    ["eth0", POD_MAC, 1],
    ["net1", "02:00:00:00:00:03", 2],
  ]) {
    run(
      `ip -n ${pod} link add ${link} address ${mac} mtu 1400 type veth peer name node-${link} netns ${node}`,
    );
    // The kernel's own link-local address would appear in the middle of a comparison.
    run(`ip -n ${pod} link set ${link} addrgenmode none up`);
    run(`ip -n ${node} link set node-${link} up mtu 1400`);
    run(`ip -n ${pod} addr add 10.9.${subnet}.2/24 dev ${link}`);
    run(`ip -n ${node} addr add 10.9.${subnet}.1/24 dev node-${link}`);
  }
  return { pod, node, netns: `/run/netns/${pod}` };
}

test.after.always(() => {
  for (const one of made) run(`ip netns del ${one}`);
  for (const one of directories) rmSync(one, { recursive: true, force: true });
});

/** All that Tapir could change in the pod's namespace. */
function snapshot({ pod }: Pair): string {
  return [
    run(`ip -n ${pod} -d link`),
    run(`ip -n ${pod} addr`),
    run(`ip -n ${pod} route show table all`),
    run(`tc -n ${pod} qdisc`),
    run(`tc -n ${pod} filter show dev eth0 ingress`),
    run(`tc -n ${pod} filter show dev net1 ingress`),
  ].join("\n");
}

function newLedger(): Ledger {
  const directory = mkdtempSync(join(tmpdir(), "tapir-connect-"));
  directories.push(directory);
  return openLedger(directory);
}

async function attach(pair: Pair, vcpus = 1): Promise<{ ledger: Ledger; nics: AttachedNic[] }> {
  const ledger = newLedger();
  const network = await discover(pair.netns, soon());
  const plans = planNics(network, { model, vcpus });
  const nics = await connect(network, plans, { model, ledger, vhostNet: true }, soon());
  return { ledger, nics };
}

/** The next frame on a tap that `matches`, without its virtio header. */
async function frameFrom(fd: number, matches: (frame: Buffer) => boolean): Promise<Buffer> {
  const buffer = Buffer.alloc(2048);
  const { signal } = soon();
  for (;;) {
    try {
      const frame = Buffer.from(buffer.subarray(VNET_HEADER, readSync(fd, buffer)));
      if (matches(frame)) return frame;
    } catch (error) {
      if (errnoOf(error) !== "EAGAIN") throw error;
      await sleep(5, undefined, { signal });
    }
  }
}

const isArpRequest = (frame: Buffer): boolean =>
  frame.readUInt16BE(12) === 0x0806 && frame.readUInt16BE(20) === 1;

/** What the guest would answer to an ARP request. */
function arpReply(request: Buffer, mac: Buffer): Buffer {
  const reply = Buffer.from(request);
  const asker = request.subarray(22, 32);
  asker.copy(reply, 0, 0, 6);
  mac.copy(reply, 6);
  reply.writeUInt16BE(2, 20);
  mac.copy(reply, 22);
  request.copy(reply, 28, 38, 42);
  asker.copy(reply, 32);
  return Buffer.concat([Buffer.alloc(VNET_HEADER), reply]);
}

test("frames go from the node to the tap and back, and nothing stays behind", async (t) => {
  const pair = makePair();
  const before = snapshot(pair);
  const { ledger, nics } = await attach(pair);
  t.deepEqual(
    nics.map(({ plan, tapName, tapFds }) => [plan.name, tapName, tapFds.length]),
    [
      ["eth0", "tap0_tapir", 1],
      ["net1", "tap1_tapir", 1],
    ],
  );
  const [tap] = JSON.parse(run(`ip -n ${pair.pod} -j -d addr show tap0_tapir`));
  t.like(tap, {
    mtu: 1400,
    addr_info: [],
    linkinfo: { info_data: { type: "tap", vnet_hdr: true, pi: false } },
  });
  t.true(tap.flags.includes("UP"));

  const fd = nics[0]?.tapFds[0] ?? -1;
  const ping = spawn("ip", ["netns", "exec", pair.node, "ping", "-c", "60", "10.9.1.2"], {
    stdio: "ignore",
  });
  try {
    const request = await frameFrom(fd, isArpRequest);
    t.is(request.toString("hex", 0, 6), "ffffffffffff");
    t.deepEqual([...request.subarray(38, 42)], [10, 9, 1, 2]);
    writeSync(fd, arpReply(request, Buffer.from(POD_MAC.replaceAll(":", ""), "hex")));
    // Only a node that got the answer sends the ping itself.
    const echo = await frameFrom(fd, (frame) => frame.readUInt16BE(12) === 0x0800);
    t.is(echo.toString("hex", 0, 6), POD_MAC.replaceAll(":", ""));
  } finally {
    ping.kill("SIGKILL");
  }
  await ledger.unwind();
  t.is(snapshot(pair), before);
});

test("a link without a queue, as CNI plugins make them, stays one", async (t) => {
  const pair = makePair();
  run(`ip -n ${pair.pod} link set eth0 txqueuelen 0`);
  const before = snapshot(pair);
  const { ledger } = await attach(pair);
  const { links } = await discover(pair.netns, soon());
  t.is(links.find(({ link }) => link.name === "eth0")?.link.txQueueLength, 0);
  await ledger.unwind();
  t.is(snapshot(pair), before);
});

test("tc shows one redirect each way, after everything else", async (t) => {
  const pair = makePair();
  const { ledger } = await attach(pair);
  for (const [from, to] of [
    ["eth0", "tap0_tapir"],
    ["tap0_tapir", "eth0"],
    ["net1", "tap1_tapir"],
    ["tap1_tapir", "net1"],
  ]) {
    const filters = JSON.parse(run(`tc -n ${pair.pod} -j filter show dev ${from} ingress`));
    const rules = filters.filter((one: { options?: { actions?: unknown } }) => one.options?.actions);
    t.is(rules.length, 1);
    t.like(rules[0], { protocol: "all", pref: 61_440, kind: "u32" });
    t.like(rules[0].options.actions[0], {
      kind: "mirred",
      mirred_action: "redirect",
      direction: "egress",
      to_dev: to,
    });
  }
  await ledger.unwind();
});

test("several queues are several descriptors of one tap", async (t) => {
  const pair = makePair();
  const before = snapshot(pair);
  const { ledger, nics } = await attach(pair, 3);
  t.is(nics[0]?.tapFds.length, 3);
  const [tap] = JSON.parse(run(`ip -n ${pair.pod} -j -d link show tap0_tapir`));
  t.like(tap.linkinfo.info_data, { multi_queue: true, numqueues: 3, persist: false });
  await ledger.unwind();
  t.is(snapshot(pair), before);
});

for (const kind of ["ingress", "clsact"]) {
  test(`a CNI's own ${kind} qdisc and filter are used, come first, and survive`, async (t) => {
    const pair = makePair();
    run(`tc -n ${pair.pod} qdisc add dev eth0 ${kind}`);
    run(
      `tc -n ${pair.pod} filter add dev eth0 ingress protocol ip prio 61440 u32 match ip protocol 132 0xff action mirred egress redirect dev net1`,
    );
    const before = snapshot(pair);
    const { ledger } = await attach(pair);
    const filters = JSON.parse(run(`tc -n ${pair.pod} -j filter show dev eth0 ingress`));
    const order = filters
      .filter((one: { options?: { actions?: unknown } }) => one.options?.actions)
      .map((one: { pref: number }) => one.pref);
    t.deepEqual(order, [61_440, 61_441]);
    await ledger.unwind();
    t.is(snapshot(pair), before);
  });
}

test("a filter that somebody adds below our qdisc keeps the qdisc alive", async (t) => {
  const pair = makePair();
  const { ledger } = await attach(pair);
  run(
    `tc -n ${pair.pod} filter add dev eth0 ingress protocol ip u32 match ip protocol 132 0xff action mirred egress redirect dev net1`,
  );
  await ledger.unwind();
  t.regex(run(`tc -n ${pair.pod} filter show dev eth0 ingress`), /to device net1/);
  t.notRegex(run(`tc -n ${pair.pod} filter show dev eth0 ingress`), /tap._tapir/);
});

test("after the shim and QEMU were killed the ledger is replayed", async (t) => {
  const pair = makePair();
  const before = snapshot(pair);
  const { ledger, nics } = await attach(pair);
  // What the end of both processes does: the last descriptor goes, and the tap with it.
  for (const nic of nics) nic.closeDescriptors();
  t.notRegex(run(`ip -n ${pair.pod} link`), /tap._tapir/);
  const { undone, failures } = await replayLedger(ledger.directory);
  t.deepEqual(failures, []);
  t.is(undone.filter((step) => step.startsWith("network.")).length, 10);
  t.is(snapshot(pair), before);
});

test("descriptors that were given away already are not closed again", async (t) => {
  const pair = makePair();
  const { ledger, nics } = await attach(pair);
  nics[0]?.closeDescriptors();
  nics[0]?.closeDescriptors();
  await t.notThrowsAsync(ledger.unwind());
});

test("a namespace that went away first is nothing to undo", async (t) => {
  const pair = makePair();
  const { ledger } = await attach(pair);
  made.splice(made.indexOf(pair.pod), 1);
  run(`ip netns del ${pair.pod}`);
  await t.notThrowsAsync(ledger.unwind());
  t.deepEqual(
    readLedger(ledger.directory).filter(({ step }) => step.startsWith("network.")),
    [],
  );
});

test("a second sandbox in the same namespace is refused and leaves the first alone", async (t) => {
  const pair = makePair();
  const before = snapshot(pair);
  const first = await attach(pair);
  const during = snapshot(pair);
  const ledger = newLedger();
  const network = await discover(pair.netns, soon());
  const own = network.links.filter(({ link }) => link.kind === "veth");
  const plans = planNics({ ...network, links: own }, { model, vcpus: 1 });
  const error = await t.throwsAsync(connect(network, plans, { model, ledger, vhostNet: false }, soon()), {
    instanceOf: TapirError,
  });
  t.is(error.code, Code.FAILED_PRECONDITION);
  t.regex(error.message, /^cannot attach eth0 of netns .*: cannot make tap tap0_tapir: .*another sandbox/);
  await ledger.unwind();
  t.is(snapshot(pair), during);
  await first.ledger.unwind();
  t.is(snapshot(pair), before);
});
