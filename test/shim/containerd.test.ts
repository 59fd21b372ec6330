// Requires root, containerd, CNI plugins and what the set-up puts below build/.
// containerd and the shim with each other; the pods are fake, so that each case takes a moment.
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import test from "ava";
import { shimIdentityFile } from "../../shim/bundle-files.ts";
import { deadlineIn } from "../../sys/deadline.ts";
import { identify, isAlive, type ProcessIdentity } from "../../sys/identity.ts";
import { bundleFakeShim, FAKE_STATE } from "../fakes/shim-bundle.ts";
import { useNode } from "../harness/fixture.ts";

const CASE_MS = 60_000;
const state = `/run/tapir-fake-${randomBytes(4).toString("hex")}`;
const shimDirectory = await bundleFakeShim();
const node = useNode(test, {
  env: { PATH: `${shimDirectory}:${process.env.PATH}`, [FAKE_STATE]: state, NODE_DEBUG: "nothing" },
});
test.after.always("clean up", () => {
  for (const path of [state, shimDirectory]) rmSync(path, { recursive: true, force: true });
});

const deadline = () => deadlineIn(CASE_MS, "finish the case");
const bundleOf = (id: string) => join(node().directory, "state/io.containerd.runtime.v2.task/k8s.io", id);
const sandboxes = () => (existsSync(join(state, "k8s.io")) ? readdirSync(join(state, "k8s.io")) : []);

function runp(name: string, annotations: Record<string, string> = {}): Promise<string> {
  const { crictl, podConfig } = node();
  return crictl.runp(podConfig(name, { annotations }), "tapir", deadline());
}

test.serial("a pod comes up, is looked at, stopped and removed", async (t) => {
  const { crictl, containerd } = node();
  const id = await runp("plain");
  const { state: podState, pid } = await crictl.inspectp(id, deadline());
  t.is(podState, "SANDBOX_READY");
  t.regex(readFileSync(`/proc/${pid}/cmdline`, "utf8"), /^sleep/);
  t.is((await crictl.run(["statsp"], deadline())).exitCode, 0);
  t.deepEqual(sandboxes(), [id]);
  await crictl.stopp(id, deadline());
  t.is((await crictl.inspectp(id, deadline())).state, "SANDBOX_NOTREADY");
  await crictl.stopp(id, deadline());
  await crictl.rmp(id, deadline());
  t.deepEqual(sandboxes(), []);
  // The shim's lines reach containerd's log through the fifo.
  t.regex(readFileSync(containerd.log, "utf8"), new RegExp(`msg="shim serves".* id=${id}`));
});

test.serial(
  "containerd's process rules: own session, no pipes of containerd's, no settings of other programs",
  async (t) => {
    const { crictl, containerd } = node();
    const id = await runp("rules");
    const { pid } = shimIdentityFile.read(bundleOf(id)) ?? { pid: 0 };
    t.regex(readFileSync(`/proc/${pid}/status`, "utf8"), new RegExp(`^NSsid:\\s+${pid}$`, "m"));
    t.notRegex(readFileSync(`/proc/${pid}/environ`, "utf8"), /\bNODE_/);
    const adjustment = (one: number): number => Number(readFileSync(`/proc/${one}/oom_score_adj`, "utf8"));
    t.is(adjustment(pid), adjustment(containerd.identity().pid) + 1);
    await crictl.rmp(id, deadline());
  },
);

test.serial("ctr sees the events of a task in their order", async (t) => {
  const { run, containerd, netns } = node();
  const seen = events(containerd.log);
  const ctr = (...args: string[]) =>
    run("ctr", ["--address", containerd.socket, "--namespace", "k8s.io", ...args], deadline());
  const image = "tapir.test/pause:1";
  const flags = ["--runtime", "io.containerd.tapir.v2", "--with-ns", `network:${netns}`, "--detach"];
  t.is((await ctr("run", ...flags, image, "solo")).exitCode, 0);
  t.regex((await ctr("task", "ls")).stdout, /solo +\d+ +RUNNING/);
  t.is((await ctr("task", "metrics", "solo")).exitCode, 0);
  t.regex((await ctr("task", "checkpoint", "solo")).stderr, /cannot be checkpointed/);
  t.regex((await ctr("task", "delete", "solo")).stderr, /must be stopped|running/);
  t.is((await ctr("task", "kill", "--signal", "SIGKILL", "solo")).exitCode, 0);
  for (;;) if (/STOPPED/.test((await ctr("task", "ls")).stdout)) break;
  // 128 + SIGKILL
  t.regex((await ctr("task", "delete", "solo")).stderr, /exit code 137/);
  t.is((await ctr("container", "delete", "solo")).exitCode, 0);
  t.deepEqual(events(containerd.log).slice(seen.length), [
    "create",
    "start",
    // A checkpoint begins with a pause.
    "paused",
    "resumed",
    "exit",
    "delete",
  ]);
});

/** The shim's own lines about the events it sends. */
const events = (log: string): string[] =>
  [...readFileSync(log, "utf8").matchAll(/msg=event topic=\/tasks\/(\w+) id=solo/g)].map(
    ([, name = ""]) => name,
  );

test.serial("a failing create is told in full and leaves nothing", async (t) => {
  const error = await t.throwsAsync(runp("failing", { "io.tapir.fake.create": "fail" }));
  t.regex(error?.message ?? "", /tapir: told to fail/);
  t.deepEqual(sandboxes(), []);
});

test.serial("a create that hangs is given up with its caller and leaves nothing", async (t) => {
  const { crictl, directory, podConfig } = node();
  const path = join(directory, "hanging.json");
  writeFileSync(
    path,
    JSON.stringify(podConfig("hanging", { annotations: { "io.tapir.fake.create": "hang" } })),
  );
  // crictl waits twice as long for runp.
  const { exitCode } = await crictl.run(["--timeout", "1s", "runp", "--runtime", "tapir", path], deadline());
  t.not(exitCode, 0);
  while (sandboxes().length > 0) await pause(50);
  t.deepEqual(sandboxes(), []);
});

test.serial("kill -9 of the shim: containerd runs delete, and nothing is left", async (t) => {
  const { crictl } = node();
  const id = await runp("orphan");
  const { pid } = await crictl.inspectp(id, deadline());
  const vm = identify(pid);
  process.kill(shimIdentityFile.read(bundleOf(id))?.pid ?? 0, "SIGKILL");
  while (existsSync(bundleOf(id))) await pause(20);
  t.false(vm !== undefined && isAlive(vm));
  t.deepEqual(sandboxes(), []);
  t.is((await crictl.inspectp(id, deadline())).state, "SANDBOX_NOTREADY");
  await crictl.rmp(id, deadline());
});

test.serial(
  "a VM that dies makes the pod not ready; it is no zombie, its end is told once, its shim ends by itself",
  async (t) => {
    const { crictl, containerd } = node();
    const id = await runp("dying");
    const { pid } = await crictl.inspectp(id, deadline());
    process.kill(pid, "SIGKILL");
    const shim = shimIdentityFile.read(bundleOf(id));
    while ((await crictl.inspectp(id, deadline())).state === "SANDBOX_READY");
    // It is the shim's child: containerd heard of its end because it was reaped.
    t.false(existsSync(`/proc/${pid}`), "no zombie");
    await crictl.rmp(id, deadline());
    while (shim === undefined || isAlive(shim)) await pause(20);
    const exits = readFileSync(containerd.log, "utf8").match(
      new RegExp(`msg=event topic=/tasks/exit id=${id}`, "g"),
    );
    t.is(exits?.length, 1);
  },
);

test.serial(
  "containerd is restarted: the pod is still there and can be stopped; what died meanwhile is noticed",
  async (t) => {
    const { crictl, containerd } = node();
    const [survivor, victim] = [await runp("survivor"), await runp("victim")];
    const { pid } = await crictl.inspectp(victim, deadline());
    const shim = shimIdentityFile.read(bundleOf(survivor));
    await containerd.kill9(deadline());
    const heard = exitsHeard(containerd.log);
    process.kill(pid, "SIGKILL");
    await containerd.start(deadline());
    await crictl.ready(deadline());
    t.is((await crictl.inspectp(survivor, deadline())).state, "SANDBOX_READY");
    t.is((await crictl.inspectp(victim, deadline())).state, "SANDBOX_NOTREADY");
    for (const id of [survivor, victim]) {
      await crictl.stopp(id, deadline());
      await crictl.rmp(id, deadline());
    }
    t.deepEqual(sandboxes(), []);
    while (shim !== undefined && isAlive(shim)) await pause(20);
    // Each once: of the one that died while nobody listened, and of the one that was stopped.
    t.is(exitsHeard(containerd.log) - heard, 2);
  },
);

/** How many exits containerd says that it was told of. */
const exitsHeard = (log: string): number =>
  readFileSync(log, "utf8").match(/msg="event forwarded".* topic=\/tasks\/exit/g)?.length ?? 0;

let unneeded: ProcessIdentity | undefined;
test.serial(
  "containerd is killed during a Create: nothing of it stays, and the same pod comes up afterwards",
  async (t) => {
    const { crictl, containerd } = node();
    const lost = t.throwsAsync(runp("interrupted", { "io.tapir.fake.create": "hang" }));
    while (sandboxes().length === 0) await pause(20);
    unneeded = shimIdentityFile.read(bundleOf(sandboxes()[0] ?? ""));
    await containerd.kill9(deadline());
    await lost;
    while (sandboxes().length > 0) await pause(20);
    await containerd.start(deadline());
    await crictl.ready(deadline());
    // containerd keeps its record until the kubelet has it removed.
    for (const lostId of await crictl.pods(deadline())) await crictl.rmp(lostId, deadline());
    const id = await runp("interrupted");
    t.is((await crictl.inspectp(id, deadline())).state, "SANDBOX_READY");
    await crictl.rmp(id, deadline());
    t.deepEqual(await crictl.pods(deadline()), []);
    t.deepEqual(sandboxes(), []);
  },
);

test.serial("a shim that hangs while containerd restarts is ended, with its pod", async (t) => {
  const { crictl, containerd } = node();
  const id = await runp("hung");
  const shim = shimIdentityFile.read(bundleOf(id));
  await containerd.kill9(deadline());
  process.kill(shim?.pid ?? 0, "SIGSTOP");
  await containerd.start(deadline());
  await crictl.ready(deadline());
  t.false(shim !== undefined && isAlive(shim));
  t.deepEqual(sandboxes(), []);
  await crictl.rmp(id, deadline());
});

test.serial(
  "a shim that is out of descriptors ends, and its `delete` undoes what it could not",
  async (t) => {
    const { crictl, run } = node();
    const id = await runp("helpless");
    const shim = shimIdentityFile.read(bundleOf(id));
    await run("prlimit", ["--pid", String(shim?.pid), "--nofile=16:16"], deadline());
    await crictl.stopp(id, deadline()).catch((error: unknown) => t.log(String(error)));
    while (shim === undefined || isAlive(shim)) await pause(20);
    while (sandboxes().length > 0) await pause(20);
    await crictl.rmp(id, deadline());
    t.false(existsSync(bundleOf(id)));
  },
);

test.serial("eight pods at once", async (t) => {
  const { crictl } = node();
  mkdirSync(state, { recursive: true });
  const ids = await Promise.all(Array.from({ length: 8 }, (_, index) => runp(`many-${index}`)));
  t.is(new Set(ids).size, 8);
  await Promise.all(ids.map((id) => crictl.rmp(id, deadline())));
  t.deepEqual(sandboxes(), []);
});

// Last: it takes half a minute, in which the others ran.
test.serial(
  "a shim whose Create was lost, and that nobody asks for anything any more, ends by itself",
  async (t) => {
    t.truthy(unneeded);
    while (unneeded !== undefined && isAlive(unneeded)) await pause(50);
  },
);
