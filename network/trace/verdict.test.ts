import test from "ava";
import { brokenHop, HOPS, type Hop } from "./hop.ts";
import { compareHops, judge } from "./verdict.ts";

/** Every hop with these counts, to the guest and from it. */
const path = (toGuest: readonly (number | undefined)[], fromGuest = toGuest): Hop[] =>
  HOPS.map((name, at) => ({
    name,
    object: name,
    toGuest: { packets: toGuest[at], dropped: 0 },
    fromGuest: { packets: fromGuest[at], dropped: 0 },
  }));

const zero = path([0, 0, 0, 0, 0, 0]);

test("packets that pass every hop, and none at all", (t) => {
  const hops = compareHops(zero, path([9, 9, 9, 9, 9, 9], [0, 0, 0, 0, 0, 0]));
  t.deepEqual(judge(hops, "toGuest"), { stopsAt: undefined, reason: "", idle: false });
  t.deepEqual(judge(hops, "fromGuest"), { stopsAt: undefined, reason: "", idle: true });
});

test("the first hop behind one that counts, in the direction of the packets", (t) => {
  const hops = compareHops(zero, path([3, 3, 0, 0, 0, 0], [0, 0, 2, 2, 2, 2]));
  t.deepEqual(judge(hops, "toGuest"), {
    stopsAt: "tc filter",
    reason: "of 3 that passed the pod link none passed it",
    idle: false,
  });
  t.is(judge(hops, "fromGuest").stopsAt, "pod link");
});

test("what does not count is passed over", (t) => {
  const hops = compareHops(zero, path([3, 3, undefined, 3, undefined, 0]));
  t.is(judge(hops, "toGuest").stopsAt, "guest NIC");
});

test("a broken hop is named whatever was counted", (t) => {
  const after = path([3, 3, 3, 3, 3, 3]).with(3, brokenHop("tap", "tap0", "it is down"));
  const hops = compareHops(zero, after);
  t.like(judge(hops, "toGuest"), { stopsAt: "tap", reason: "it is down" });
  t.like(judge(hops, "fromGuest"), { stopsAt: "tap", reason: "it is down" });
});

test("one that counts nothing because the next is broken is not to blame", (t) => {
  const after = path([0, 0, 2, 2, 2, 2]).with(0, brokenHop("host link", "veth1", "it is down"));
  t.like(judge(compareHops(zero, after), "fromGuest"), { stopsAt: "host link", reason: "it is down" });
});

test("a queue's index starts again at 0; a link that was made anew counts from 0", (t) => {
  const before = path([100, 100, 100, 100, 65_530, 100]);
  const after = path([4, 103, 103, 103, 4, 103]);
  const counted = compareHops(before, after).map(({ toGuest }) => toGuest.packetsInWindow);
  t.deepEqual(counted, [4, 3, 3, 3, 10, 3]);
});
