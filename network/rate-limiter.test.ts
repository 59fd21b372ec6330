// Needs root: makes and removes network namespaces, all traffic stays in them.
import test from "ava";
import { type Deadline, deadlineIn } from "../sys/deadline.ts";
import { TapirError } from "../sys/error.ts";
import { replayLedger } from "../sys/ledger.ts";
import { Code } from "../sys/status.ts";
import { attachPair, run, snapshot, usePodPairs } from "../test/fakes/pod-pair.ts";
import { connect } from "./connect.ts";
import { discover } from "./discover.ts";
import { modelNamed } from "./models.ts";
import { planNics } from "./nic-plan.ts";
import { type RateLimits, shapeOf } from "./rate-limit.ts";

const pairs = usePodPairs(test);
const soon = (): Deadline => deadlineIn(15_000, "test rate limits");
const MBIT = 1_000_000;
const OURS = "7a91:";

interface Qdisc {
  readonly kind: string;
  readonly handle: string;
  readonly options: { readonly rate?: number; readonly burst?: number };
}
const root = (netns: string, link: string): Qdisc | undefined =>
  (JSON.parse(run(`tc -n ${netns} -j qdisc show dev ${link}`)) as (Qdisc & { root?: boolean })[]).find(
    (one) => one.root === true,
  );
/** Bits per second, 0 without a limit. */
const rateOf = (netns: string, link: string): number =>
  root(netns, link)?.kind === "tbf" ? 8 * (root(netns, link)?.options.rate ?? 0) : 0;

test("a bucket holds a hundredth of a second, and some frames at least", (t) => {
  t.deepEqual(shapeOf(8 * MBIT, 1500), { bytesPerSecond: 1_000_000, burst: 10_000, limit: 100_000 });
  t.deepEqual(shapeOf(1000, 9000), { bytesPerSecond: 125, burst: 18_036, limit: 577_152 });
  t.deepEqual(shapeOf(1, 1500).bytesPerSecond, 1);
  t.true(shapeOf(1e12, 1500).limit < 2 ** 31);
});

for (const { name, towards } of [
  { name: "tcfilter", towards: "tap" },
  { name: "macvtap", towards: "ifb" },
]) {
  const model = modelNamed(name);

  test.serial(`${name}: each of two NICs has its own limits, which change and go`, async (t) => {
    const pair = pairs.make(2);
    const before = snapshot(pair);
    const ledger = pairs.ledger();
    const nics = await attachPair(pair, { model, ledger }, soon());
    const connected = snapshot(pair);
    await nics[0]?.limiter.set({ rx: 3 * MBIT, tx: 5 * MBIT }, soon());
    await nics[1]?.limiter.set({ tx: 40_000 * MBIT }, soon());
    t.deepEqual(nics[1]?.limiter.limits, { rx: 0, tx: 40_000 * MBIT });
    t.is(rateOf(pair.pod, `${towards}0_tapir`), 3 * MBIT);
    t.is(rateOf(pair.pod, "eth0"), 5 * MBIT);
    t.is(rateOf(pair.pod, "net1"), 40_000 * MBIT, "more than 32 bits of bytes");
    t.is(root(pair.pod, "eth0")?.handle, OURS);
    await nics[0]?.limiter.set({ rx: 4 * MBIT }, soon());
    t.is(rateOf(pair.pod, `${towards}0_tapir`), 4 * MBIT);
    t.is(rateOf(pair.pod, "eth0"), 5 * MBIT, "what is not said stays");
    for (const { limiter } of nics) await limiter.set({ rx: 0, tx: 0 }, soon());
    t.is(snapshot(pair), connected);
    await nics[0]?.limiter.set({ rx: MBIT, tx: MBIT }, soon());
    await ledger.unwind();
    t.is(snapshot(pair), before);
  });

  test.serial(`${name}: a link without a queue has none under its limits, either`, async (t) => {
    const pair = pairs.make();
    run(`ip -n ${pair.pod} link set eth0 txqueuelen 0`);
    const ledger = pairs.ledger();
    const [nic] = await attachPair(pair, { model, ledger }, soon());
    await nic?.limiter.set({ rx: MBIT, tx: MBIT }, soon());
    t.is(rateOf(pair.pod, "eth0"), MBIT);
    const { links } = await discover(pair.netns, soon());
    t.is(links.find(({ link }) => link.name === "eth0")?.link.txQueueLength, 0);
    await ledger.unwind();
  });

  test.serial(`${name}: after a crash the limits go with the rest`, async (t) => {
    const pair = pairs.make(2);
    const before = snapshot(pair);
    const ledger = pairs.ledger();
    for (const nic of await attachPair(pair, { model, ledger }, soon())) {
      await nic.limiter.set({ rx: MBIT, tx: MBIT }, soon());
      nic.closeDescriptors();
    }
    t.deepEqual((await replayLedger(ledger.directory)).failures, []);
    t.is(snapshot(pair), before);
  });
}

test.serial("a root qdisc of CNI's is named, and stays", async (t) => {
  const pair = pairs.make();
  run(`tc -n ${pair.pod} qdisc add dev eth0 root handle 1: htb default 2`);
  const ledger = pairs.ledger();
  const model = modelNamed("tcfilter");
  const [nic] = await attachPair(pair, { model, ledger }, soon());
  const error = await t.throwsAsync(nic?.limiter.set({ tx: MBIT }, soon()) ?? Promise.resolve(), {
    instanceOf: TapirError,
  });
  t.is(error.code, Code.FAILED_PRECONDITION);
  t.regex(error.message, /cannot limit the rate of eth0: .*did not make, htb 1:; limit the rate there/);
  await nic?.limiter.set({ rx: MBIT }, soon());
  await ledger.unwind();
  t.is(root(pair.pod, "eth0")?.kind, "htb");
});

test.serial("a NIC whose limit fails is not half connected: it can be tried again", async (t) => {
  const pair = pairs.make();
  run(`tc -n ${pair.pod} qdisc add dev eth0 root handle 1: htb default 2`);
  const before = snapshot(pair);
  const ledger = pairs.ledger();
  const network = await discover(pair.netns, soon());
  const model = modelNamed("tcfilter");
  const plans = planNics(network, { model, vcpus: 1 });
  const attempt = (limits: RateLimits) =>
    connect(network, plans, { model, ledger, vhostNet: false, limits }, soon());
  await t.throwsAsync(attempt({ rx: MBIT, tx: MBIT }), {
    message: /attach eth0 of netns .*did not make, htb 1:/,
  });
  t.is(snapshot(pair), before);
  t.is((await attempt({ rx: MBIT, tx: 0 })).length, 1);
  await ledger.unwind();
  t.is(snapshot(pair), before);
});
