// Requires root, containerd, CNI plugins, QEMU and what the set-up puts below build/.
// Pods restored from one saved guest: each is somebody of its own, and has the right time.
import test from "ava";
import { askGuest, connectManagement, methods } from "../../cli/management-client.ts";
import { sandboxDirectory } from "../../shim/state/directory.ts";
import { readTimeline } from "../../shim/state/timeline.ts";
import { deadlineIn } from "../../sys/deadline.ts";
import { useNode } from "../harness/fixture.ts";
import { assertClock } from "../harness/guest-clock.ts";

const node = useNode(test);
const START_MS = 120_000;
const CLONES = 8;

const directoryOf = (id: string): string => sandboxDirectory(node().stateDirectory, "k8s.io", id);

test.serial("eight pods at once from one template share no identity and have the right time", async (t) => {
  const { crictl, ping, podConfig, removePods } = node();
  const deadline = deadlineIn(START_MS, "start eight pods");
  // The first one may have to make the template.
  const first = await crictl.runp(podConfig("first"), "tapir", deadline);
  const others = await Promise.all(
    Array.from({ length: CLONES - 1 }, (_, index) =>
      crictl.runp(podConfig(`clone${index}`), "tapir", deadline),
    ),
  );
  const ids = [first, ...others];
  for (const id of ids) {
    const { steps } = readTimeline(directoryOf(id));
    t.true(
      steps.some(({ name }) => name === "load state"),
      `${id} was restored`,
    );
    const { addresses } = await crictl.inspectp(id, deadline);
    for (const address of addresses) await t.notThrowsAsync(ping(address, deadline));
  }
  const seen = [];
  for (const id of ids) {
    seen.push(await askGuest(directoryOf(id)));
    using management = await connectManagement(directoryOf(id));
    await assertClock(t, () => management.call(methods.getGuestDetails, {}));
  }
  const different = {
    random: seen.map(({ details }) => details.randomUuid),
    machineId: seen.map(({ details }) => details.machineId),
    bootId: seen.map(({ details }) => details.bootId),
    hostname: seen.map(({ details }) => details.hostname),
    mac: seen.flatMap(({ interfaces }) => interfaces.map(({ mac }) => mac)),
    address: seen.flatMap(({ interfaces }) =>
      interfaces.flatMap(({ addresses }) => addresses.map(({ address }) => address)),
    ),
  };
  for (const [what, values] of Object.entries(different)) {
    t.true(values.length >= CLONES, what);
    t.true(
      values.every((value) => value !== ""),
      what,
    );
    t.is(new Set(values).size, values.length, what);
  }
  await removePods(deadline);
});
