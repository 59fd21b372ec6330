// Needs root and /dev/net/tun: makes and removes network namespaces, all traffic stays in them.
import test from "ava";
import { deadlineIn } from "../../sys/deadline.ts";
import { attachPair, run, usePodPairs } from "../../test/fakes/pod-pair.ts";
import { modelNamed } from "../models.ts";
import { hostHops } from "./host-hops.ts";

const pairs = usePodPairs(test);
const soon = () => deadlineIn(30_000, "look at the hops");

test.serial(
  "a macvtap whose rate is limited has an ifb among its hops; one that is down is broken",
  async (t) => {
    const pair = pairs.make();
    const model = modelNamed("macvtap");
    const ledger = pairs.ledger();
    t.teardown(() => ledger.unwind());
    const [nic] = await attachPair(pair, { model, ledger }, soon());
    if (nic === undefined) return t.fail("no NIC");
    const hops = () => hostHops(pair.netns, nic, model, soon());
    const names = async (): Promise<string[]> => (await hops()).map(({ name }) => name);
    t.false((await names()).includes("ifb"));
    await nic.limiter.set({ rx: 1_000_000 }, soon());
    t.deepEqual((await names()).slice(-3), ["pod link", "ifb", "tap"]);
    run(`ip -n ${pair.pod} link set ifb0_tapir down`);
    const broken = (await hops()).find(({ name }) => name === "ifb");
    t.is(broken?.toGuest.fault, "it is down");
    t.is(broken?.fromGuest.fault, undefined, "frames from the guest do not pass it");
  },
);
