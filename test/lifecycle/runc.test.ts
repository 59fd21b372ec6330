// Requires root, containerd, runc, CNI plugins and what the set-up puts below build/.
// The private node itself: if this fails, so does everything else here, and not for a reason of Tapir's.
import test from "ava";
import { deadlineIn } from "../../sys/deadline.ts";
import { useNode } from "../harness/fixture.ts";

const node = useNode(test);

test.serial("a pod under runc answers on both of its addresses and goes without a trace", async (t) => {
  const { crictl, ping, podConfig } = node();
  const deadline = deadlineIn(60_000, "run a pod");
  const id = await crictl.runp(podConfig("runc"), "runc", deadline);
  const { addresses, state } = await crictl.inspectp(id, deadline);
  t.is(state, "SANDBOX_READY");
  t.is(addresses.length, 2);
  for (const address of addresses) await t.notThrowsAsync(ping(address, deadline));
  await crictl.stopp(id, deadline);
  await crictl.rmp(id, deadline);
  t.deepEqual(await crictl.pods(deadline), []);
});

test.serial("a pod survives a kill -9 and a restart of containerd", async (t) => {
  const { containerd, crictl, ping, podConfig } = node();
  const deadline = deadlineIn(60_000, "restart containerd");
  const id = await crictl.runp(podConfig("survivor"), "runc", deadline);
  await containerd.kill9(deadline);
  await containerd.start(deadline);
  await crictl.ready(deadline);
  const { addresses, state } = await crictl.inspectp(id, deadline);
  t.is(state, "SANDBOX_READY");
  for (const address of addresses) await t.notThrowsAsync(ping(address, deadline));
});
