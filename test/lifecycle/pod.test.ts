// Requires root, containerd, runc, CNI plugins, QEMU and what the set-up puts below build/.
// The life of a pod in a VM, and what may come between.
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import test from "ava";
import { sandboxDirectory } from "../../shim/state/directory.ts";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import { reasonOf } from "../../sys/error.ts";
import { ledgerOwner } from "../../sys/ledger.ts";
import { useNode } from "../harness/fixture.ts";

const node = useNode(test);
const START_MS = 90_000;

const directoryOf = (id: string): string => sandboxDirectory(node().stateDirectory, "k8s.io", id);
const sandboxes = (): string[] => readdirSync(`${node().stateDirectory}/k8s.io`);

test.serial(
  "a pod is started once: the second runp of the same pod is refused, the first goes on",
  async (t) => {
    const { crictl, ping, podConfig, removePods } = node();
    const deadline = deadlineIn(START_MS, "start a pod twice");
    const id = await crictl.runp(podConfig("twice"), "tapir", deadline);
    await t.throwsAsync(crictl.runp(podConfig("twice"), "tapir", deadline), { message: /is reserved for/ });
    const { addresses } = await crictl.inspectp(id, deadline);
    for (const address of addresses) await t.notThrowsAsync(ping(address, deadline));
    t.deepEqual(sandboxes(), [id]);
    await removePods(deadline);
    t.deepEqual(sandboxes(), []);
  },
);

test.serial("the debug log has each step and each request of a pod's life, with its time", async (t) => {
  const { containerd, crictl, podConfig, removePods } = node();
  const deadline = deadlineIn(START_MS, "start a pod that is logged");
  const id = await crictl.runp(podConfig("logged"), "tapir", deadline);
  await removePods(deadline);
  const lines = readFileSync(containerd.log, "utf8")
    .split("\n")
    .filter((line) => line.includes(`level=debug`) && line.includes(` id=${id} `));
  const expect = (pattern: RegExp): boolean =>
    t.true(
      lines.some((line) => pattern.test(line)),
      `${pattern}`,
    );
  for (const job of ["acquire", "undo"]) {
    expect(new RegExp(`msg=step step=network\\.tap job=${job} ms=\\d+\\.\\d `));
    expect(new RegExp(`msg=step step=shim\\.management job=${job} ms=\\d+\\.\\d `));
  }
  for (const method of ["Create", "Start", "Kill", "Wait", "Delete"])
    expect(new RegExp(`msg=request method=${method} ms=\\d+\\.\\d `));
});

test.serial("a pod outlives kill -9 and restart of containerd, and can be stopped then", async (t) => {
  const { containerd, crictl, ping, podConfig } = node();
  const deadline = deadlineIn(START_MS, "restart containerd");
  const id = await crictl.runp(podConfig("survivor"), "tapir", deadline);
  await containerd.kill9(deadline);
  await containerd.start(deadline);
  await crictl.ready(deadline);
  const { addresses, state } = await crictl.inspectp(id, deadline);
  t.is(state, "SANDBOX_READY");
  for (const address of addresses) await t.notThrowsAsync(ping(address, deadline));
  await crictl.stopp(id, deadline);
  t.is((await crictl.inspectp(id, deadline)).state, "SANDBOX_NOTREADY");
  await crictl.rmp(id, deadline);
  t.deepEqual(sandboxes(), []);
});

test.serial("kill -9 of the shim: containerd notices, and nothing is left", async (t) => {
  const { crictl, podConfig } = node();
  const deadline = deadlineIn(START_MS, "kill the shim");
  const id = await crictl.runp(podConfig("orphan"), "tapir", deadline);
  const shim = ledgerOwner(directoryOf(id));
  t.truthy(shim);
  process.kill(shim?.pid ?? 0, "SIGKILL");
  await crictl.stopp(id, deadline);
  await crictl.rmp(id, deadline);
  t.deepEqual(sandboxes(), []);
  // The inventory after the last test finds what else may be left: QEMU, taps, qdiscs, sockets.
});

test.serial("kill -9 of QEMU ends the pod", async (t) => {
  const { crictl, podConfig } = node();
  const deadline = deadlineIn(START_MS, "kill QEMU");
  const id = await crictl.runp(podConfig("headless"), "tapir", deadline);
  const { pid } = await crictl.inspectp(id, deadline);
  t.regex(readFileSync(`/proc/${pid}/cmdline`, "utf8"), /qemu-system/);
  process.kill(pid, "SIGKILL");
  while ((await crictl.inspectp(id, deadline)).state !== "SANDBOX_NOTREADY") {
    await deadline.race(setTimeout(50));
  }
  await crictl.rmp(id, deadline);
  t.deepEqual(sandboxes(), []);
});

async function firstSandbox(deadline: Deadline): Promise<string> {
  for (;;) {
    const [id] = sandboxes();
    if (id !== undefined) return id;
    await deadline.race(setTimeout(5));
  }
}

test.serial("a pod that is stopped while it starts leaves nothing", async (t) => {
  const { crictl, podConfig, removePods } = node();
  const deadline = deadlineIn(START_MS, "stop a pod while it starts");
  const starting = crictl.runp(podConfig("aborted"), "tapir", deadline);
  const started = starting.then(
    () => true,
    () => false,
  );
  const id = await Promise.race([firstSandbox(deadline), starting]);
  // containerd 1.6 knows a sandbox only when it is ready: to stop it earlier is not found, and the start goes on.
  await crictl.stopp(id, deadline).catch((error: unknown) => t.log(reasonOf(error)));
  t.log(`the start went on: ${await started}`);
  await removePods(deadline);
  t.deepEqual(sandboxes(), []);
});

test.serial("20 pods in a row", async (t) => {
  const { crictl, podConfig } = node();
  for (let round = 0; round < 20; round += 1) {
    const deadline = deadlineIn(START_MS, `pod ${round}`);
    const id = await crictl.runp(podConfig(`row-${round}`), "tapir", deadline);
    await crictl.stopp(id, deadline);
    await crictl.rmp(id, deadline);
  }
  t.deepEqual(sandboxes(), []);
});
