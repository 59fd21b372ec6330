// Needs root: makes and removes network namespaces, all traffic stays in them.

import { spawn } from "node:child_process";
import { existsSync, readdirSync, writeSync } from "node:fs";
import test from "ava";
import { deadlineIn } from "../../sys/deadline.ts";
import { errnoOf, reasonOf, TapirError } from "../../sys/error.ts";
import { replayLedger } from "../../sys/ledger.ts";
import { Code } from "../../sys/status.ts";
import {
  arpReply,
  attachPair,
  frameFrom,
  isArpRequest,
  run,
  snapshot,
  usePodPairs,
} from "../../test/fakes/pod-pair.ts";
import { discover } from "../discover.ts";
import { modelNamed } from "../models.ts";
import { planNics } from "../nic-plan.ts";

const soon = () => deadlineIn(15_000, "test macvtap");
const model = modelNamed("macvtap");
const pairs = usePodPairs(test);
const MAC = Buffer.from("020000000002", "hex");
const nodes = (): string[] => readdirSync("/dev").filter((name) => name.startsWith("tap"));

test.serial("the link keeps its MAC, addresses and routes, and nothing is left", async (t) => {
  const pair = pairs.make(2);
  const before = snapshot(pair);
  const known = await discover(pair.netns, soon());
  const nodesBefore = nodes();
  const ledger = pairs.ledger();
  const nics = await attachPair(pair, { model, ledger }, soon());
  t.deepEqual(
    nics.map(({ plan, tapName, tapFds }) => [plan.name, tapName, tapFds.length]),
    [
      ["eth0", "tap0_tapir", 1],
      ["net1", "tap1_tapir", 1],
    ],
  );
  const found = await discover(pair.netns, soon());
  const plans = planNics(found, { model, vcpus: 1, existing: nics.map(({ plan }) => plan) });
  t.deepEqual(
    plans.map(({ name, mac }) => [name, mac]),
    [
      ["eth0", "02:00:00:00:00:02"],
      ["net1", "02:00:00:00:00:03"],
    ],
    "the macvtaps are no links of the pod",
  );
  for (const link of known.links) {
    const now = found.links.find((one) => one.link.index === link.link.index);
    t.deepEqual(now?.addresses, link.addresses);
    t.is(now?.link.mac, link.link.mac);
  }
  const ofLinks = found.routes.filter(({ index }) => known.links.some(({ link }) => link.index === index));
  t.deepEqual(ofLinks, known.routes);
  const [macvtap] = JSON.parse(run(`ip -n ${pair.pod} -j -d link show tap0_tapir`));
  t.like(macvtap, { mtu: 1400, address: "02:00:00:00:00:02", link: "eth0" });
  t.like(macvtap.linkinfo, { info_kind: "macvtap", info_data: { mode: "passthru" } });
  await ledger.unwind();
  t.is(snapshot(pair), before);
  t.deepEqual(nodes(), nodesBefore, "no device node is left");
});

test.serial("frames pass in both directions; unicast ones reach the guest alone", async (t) => {
  const pair = pairs.make();
  const ledger = pairs.ledger();
  const [nic] = await attachPair(pair, { model, ledger }, soon());
  const fds = nic?.tapFds ?? [];
  const pinging = spawn("ip", ["netns", "exec", pair.node, "ping", "-c", "20", "-i", "0.2", "10.9.1.2"]);
  try {
    // An address of the guest alone, which the namespace would not answer.
    const asking = spawn("ip", ["netns", "exec", pair.node, "ping", "-c", "5", "10.9.1.77"]);
    const request = await frameFrom(
      fds,
      (frame) => isArpRequest(frame) && frame.subarray(38, 42).equals(Buffer.from([10, 9, 1, 77])),
      soon(),
    );
    t.is(request.subarray(0, 6).toString("hex"), "ffffffffffff");
    writeSync(fds[0] ?? -1, arpReply(request, MAC));
    const toGuest = await frameFrom(
      fds,
      (frame) => frame.readUInt16BE(12) === 0x0800 && frame[33] === 77,
      soon(),
    );
    t.is(toGuest.subarray(0, 6).toString("hex"), MAC.toString("hex"));
    asking.kill();
    // The pod's own address: the echo request comes here, and the namespace's stack, which has the address too, gets none.
    await frameFrom(fds, (frame) => frame.readUInt16BE(12) === 0x0800 && frame[33] === 2, soon());
    const icmp = run(`ip netns exec ${pair.pod} cat /proc/net/snmp`).match(/Icmp: (\d+)/)?.[1];
    t.is(icmp, "0");
  } finally {
    pinging.kill();
    await ledger.unwind();
  }
});

test.serial("multicast that the guest joined passes, though the host was not told", async (t) => {
  const pair = pairs.make();
  const ledger = pairs.ledger();
  const [nic] = await attachPair(pair, { model, ledger }, soon());
  const group = "01:00:5e:00:12:34";
  run(`ip -n ${pair.node} neigh add 10.9.1.99 lladdr ${group} dev far0`);
  const pinging = spawn("ip", ["netns", "exec", pair.node, "ping", "-c", "5", "10.9.1.99"]);
  const frame = await frameFrom(
    nic?.tapFds ?? [],
    (one) => one.subarray(0, 6).toString("hex") === group.replaceAll(":", ""),
    soon(),
  );
  t.is(frame.readUInt16BE(12), 0x0800);
  pinging.kill();
  await ledger.unwind();
});

test.serial("several queues are several descriptors, and frames come on any", async (t) => {
  const pair = pairs.make();
  const ledger = pairs.ledger();
  const [nic] = await attachPair(pair, { model, ledger, vcpus: 3 }, soon());
  t.is(nic?.tapFds.length, 3);
  t.is(new Set(nic?.tapFds).size, 3);
  const asking = spawn("ip", ["netns", "exec", pair.node, "ping", "-c", "3", "10.9.1.78"]);
  t.truthy(await frameFrom(nic?.tapFds ?? [], isArpRequest, soon()));
  asking.kill();
  await ledger.unwind();
});

test.serial("two namespaces whose macvtaps have the same index do not mix them up", async (t) => {
  const [one, two] = [pairs.make(), pairs.make()];
  const ledger = pairs.ledger();
  const [first] = await attachPair(one, { model, ledger }, soon());
  const [second] = await attachPair(two, { model, ledger }, soon());
  const index = (pod: string): number => JSON.parse(run(`ip -n ${pod} -j link show tap0_tapir`))[0].ifindex;
  t.is(index(one.pod), index(two.pod), "the case that is meant");
  const asking = spawn("ip", ["netns", "exec", two.node, "ping", "-c", "3", "10.9.1.79"]);
  await frameFrom(second?.tapFds ?? [], isArpRequest, soon());
  // Other frames may come; each wire has its own.
  const none = frameFrom(first?.tapFds ?? [], isArpRequest, deadlineIn(300, "see no frame"));
  await t.throwsAsync(none);
  asking.kill();
  await ledger.unwind();
});

test.serial("after the shim and QEMU were killed the ledger is replayed", async (t) => {
  const pair = pairs.make(2);
  const before = snapshot(pair);
  const ledger = pairs.ledger();
  for (const nic of await attachPair(pair, { model, ledger }, soon())) nic.closeDescriptors();
  const { undone, failures } = await replayLedger(ledger.directory);
  t.deepEqual(failures, []);
  t.is(undone.filter((step) => step === "network.macvtap").length, 2);
  t.is(snapshot(pair), before);
  t.false(existsSync(ledger.directory));
});

test.serial("what cannot have one is refused, with the way out, and stays as it is", async (t) => {
  const pair = pairs.make();
  run(`ip -n ${pair.pod} link add mv0 link eth0 type macvlan mode bridge`);
  const before = snapshot(pair);
  const network = await discover(pair.netns, soon());
  const own = network.links.filter(({ link }) => link.kind === "veth");
  const plans = planNics({ ...network, links: own }, { model, vcpus: 1 });
  const ledger = pairs.ledger();
  const { connect } = await import("../connect.ts");
  const error = await t.throwsAsync(connect(network, plans, { model, ledger, vhostNet: false }, soon()), {
    instanceOf: TapirError,
  });
  t.is(error.code, Code.FAILED_PRECONDITION);
  t.regex(
    error.message,
    /attach eth0 of netns .*make macvtap tap0_tapir on eth0: .*use internetworking_model "tcfilter"/s,
  );
  await ledger.unwind();
  t.is(snapshot(pair), before);

  run(`ip -n ${pair.pod} link set mv0 up`);
  const kind = t.throws(() =>
    planNics({ ...network, links: [{ ...only(network, "mv0") }] }, { model, vcpus: 1 }),
  );
  t.regex(
    reasonOf(kind),
    /cannot attach mv0 of netns .*: link kind "macvlan" is not supported by internetworking_model "macvtap"; use "tcfilter"/,
  );
  t.is(errnoOf(kind), undefined);
});

function only(network: Awaited<ReturnType<typeof discover>>, name: string) {
  const found = network.links.find(({ link }) => link.name === name);
  if (found === undefined) throw new Error(`no link ${name}`);
  return { ...found, link: { ...found.link, flags: found.link.flags | 1 } };
}
