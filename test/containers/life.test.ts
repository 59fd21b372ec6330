// Requires root, containerd, CNI plugins, QEMU and what the set-up puts below build/.
// From the creation to the end of a pod's containers, by the CRI: what goes wrong on the way, too.
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import test from "ava";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import { useNode } from "../harness/fixture.ts";
import { type TestPod, type Workloads, workloads } from "../harness/workload.ts";

const CASE_MS = 90_000;
const node = useNode(test);
const soon = () => deadlineIn(CASE_MS, "finish the case");
const POLITE = ["sh", "-c", "trap 'exit 5' TERM; echo ready > /ready; while :; do sleep 1; done"];
const STUBBORN = ["sh", "-c", "trap '' TERM; echo ready > /ready; while :; do sleep 1; done"];
let work: Workloads;
let pod: TestPod;
let shell: string;

test.serial.before("a pod with one container", async () => {
  work = workloads(node());
  pod = await work.pod("main", soon());
  shell = await pod.start("shell", {}, soon());
});

/** The container has set its traps. */
async function ready(id: string): Promise<void> {
  const deadline = soon();
  while ((await work.execSync(id, ["cat", "/ready"], deadline)).exitCode !== 0);
}

async function stillWorks(): Promise<boolean> {
  return (await work.exec(shell, ["uname"], soon())).stdout === "Linux\n";
}

interface Told {
  readonly kind: string;
  readonly container: string;
  /** Empty: the container's own. */
  readonly exec: string;
}

/** Writes down what containerd tells of the pods' tasks, until it is disposed. */
function watchEvents(): AsyncDisposable & {
  of(container: string): string[];
  execsOf(container: string): string[][];
} {
  const file = join(node().directory, "events");
  const over = new AbortController();
  const watching = work
    .shell(`exec ctr events > ${file}`, deadlineIn(CASE_MS, "watch events", over.signal))
    .catch(() => undefined);
  const told = (container: string): Told[] =>
    readFileSync(file, "utf8")
      .split("\n")
      .flatMap((line): Told[] => {
        const [, kind, fields = "{}"] =
          /\/tasks\/(create|start|exit|delete|exec-added|exec-started) (\{.*)/.exec(line) ?? [];
        const { container_id, exec_id, id } = JSON.parse(fields) as Record<string, string | undefined>;
        const exec = exec_id ?? (id === container ? "" : id) ?? "";
        return kind !== undefined && container_id === container ? [{ kind, container, exec }] : [];
      });
  return {
    of: (container) => told(container).flatMap(({ kind, exec }) => (exec === "" ? [kind] : [])),
    execsOf(container) {
      const lives = Object.groupBy(told(container), ({ exec }) => exec);
      delete lives[""];
      return Object.values(lives).map((life = []) => life.map(({ kind }) => kind));
    },
    async [Symbol.asyncDispose]() {
      over.abort();
      await watching;
    },
  };
}

test.serial("signals: SIGTERM is the container's to handle; one that will not end is killed", async (t) => {
  await using events = watchEvents();
  const polite = await pod.start("polite", { command: POLITE }, soon());
  await ready(polite);
  await work.crictl(["stop", "--timeout", "30", polite], soon());
  t.is((await work.status(polite, soon())).exitCode, 5);
  const stubborn = await pod.start("stubborn", { command: STUBBORN }, soon());
  await ready(stubborn);
  await work.crictl(["stop", "--timeout", "1", stubborn], soon());
  const { exitCode, state } = await work.status(stubborn, soon());
  t.deepEqual([state, exitCode], ["CONTAINER_EXITED", 137]);
  const life = ["create", "start", "exit", "delete"];
  t.deepEqual([events.of(polite), events.of(stubborn)], [life, life]);
  // Each look whether it was ready was an exec.
  const execs = [...events.execsOf(polite), ...events.execsOf(stubborn)];
  t.true(execs.length >= 2);
  // One whose command was not there yet has no start.
  for (const exec of execs) t.regex(exec.join(" "), /^exec-added (exec-started )?exit$/);
});

test.serial(
  "exec into a container that is stopping runs, and ends with it; afterwards it is refused",
  async (t) => {
    const lingers = "trap 'sleep 2; exit 6' TERM; echo ready > /ready; while :; do sleep 0.2; done";
    const id = await pod.start("lingering", { command: ["sh", "-c", lingers] }, soon());
    await ready(id);
    const stopping = work.crictl(["stop", "--timeout", "60", id], soon());
    const late = work.exec(id, ["sh", "-c", "echo in; sleep 1000"], soon());
    await stopping;
    const { stdout, exitCode } = await late;
    t.is((await work.status(id, soon())).exitCode, 6);
    t.not(exitCode, 0);
    t.is(stdout, "in\n");
    t.regex((await work.exec(id, ["true"], soon())).stderr, /not running|EXITED/);
  },
);

test.serial(
  "a container whose command, user or volume is not there does not start, and says why; a folder to work in is made",
  async (t) => {
    const refused = async (name: string, wish: object, reason: RegExp, vanish = ""): Promise<void> => {
      const id = await pod.create(name, wish, soon());
      if (vanish !== "") rmSync(vanish, { recursive: true });
      const { exitCode, stderr } = await work.crictl(["start", id], soon());
      t.not(exitCode, 0, name);
      t.regex(stderr, reason);
      const { state, reason: said, message } = await work.status(id, soon());
      t.deepEqual([state, said], ["CONTAINER_EXITED", "StartError"]);
      t.regex(message, reason);
    };
    await refused("missing", { command: ["/nosuch"] }, /nosuch.*exit status 127/s);
    await refused("unusable", { command: ["/etc"] }, /exit status 126/);
    const volume = join(node().directory, "volume");
    mkdirSync(volume);
    const mounts = [{ host_path: volume, container_path: "/data" }];
    await refused("unmounted", { mounts }, /volume.*(no such file|ENOENT)/is, volume);
    // This image has no accounts.
    const nobody = { linux: { security_context: { run_as_username: "nosuch" } } };
    await t.throwsAsync(pod.create("nobody", nobody, soon()), { message: /nosuch|passwd/ });
    // As with runc.
    const wish = { working_dir: "/no/such/folder", command: ["sh", "-c", "pwd"] };
    const elsewhere = await pod.start("elsewhere", wish, soon());
    t.is((await work.ended(elsewhere, soon())).exitCode, 0);
    t.is((await work.crictl(["logs", elsewhere], soon())).stdout, "/no/such/folder\n");
    t.true(await stillWorks());
  },
);

test.serial("a volume that vanishes under a running container is empty to it, not its end", async (t) => {
  const volume = join(node().directory, "fleeting");
  mkdirSync(volume);
  const id = await pod.start("mounted", { mounts: [{ host_path: volume, container_path: "/data" }] }, soon());
  t.is((await work.exec(id, ["sh", "-c", "echo x > /data/x; ls /data"], soon())).stdout, "x\n");
  rmSync(volume, { recursive: true });
  t.is((await work.exec(id, ["ls", "/data"], soon())).stdout, "");
  await work.crictl(["rm", "--force", id], soon());
  t.true(await stillWorks());
});

test.serial("update and stats: limits in the guest's cgroup, counters that grow", async (t) => {
  const linux = { resources: { memory_limit_in_bytes: 64 << 20, cpu_shares: 512 } };
  const id = await pod.start("limited", { linux }, soon());
  const limit = async () =>
    /memory\.limit_in_bytes\s+(\d+)/.exec((await work.ctr(["task", "metrics", id], soon())).stdout)?.[1];
  t.is(await limit(), String(64 << 20));
  const updated = await work.crictl(["update", "--memory", String(96 << 20), id], soon());
  t.is(updated.exitCode, 0, updated.stderr);
  t.is(await limit(), String(96 << 20));
  const { stdout } = await work.crictl(["stats", "--output", "json", id], soon());
  const [stats] = (JSON.parse(stdout) as { stats: { cpu: Counter; memory: { workingSetBytes: Value } }[] })
    .stats;
  t.true(Number(stats?.cpu.usageCoreNanoSeconds.value) > 0);
  t.true(Number(stats?.memory.workingSetBytes.value) > 0);
});
interface Value {
  readonly value: string;
}
interface Counter {
  readonly usageCoreNanoSeconds: Value;
}

test.serial("a container is removed while it starts", async (t) => {
  for (const delay of [0, 150, 400]) {
    const id = await pod.create(`hasty-${delay}`, { command: POLITE }, soon());
    const starting = work.crictl(["start", id], soon());
    await pause(delay);
    // containerd may refuse the first one.
    await work.crictl(["rm", "--force", id], soon());
    await starting;
    await work.crictl(["rm", "--force", id], soon());
    t.not((await work.crictl(["inspect", id], soon())).exitCode, 0);
  }
  t.true(await stillWorks());
});

test.serial("containerd is killed and comes back: output goes on, the end is noticed", async (t) => {
  const script = "trap 'exit 8' TERM; i=0; while :; do i=$((i+1)); echo $i; sleep 0.1; done";
  const id = await pod.start("chatty", { command: ["sh", "-c", script] }, soon());
  const last = async (deadline: Deadline): Promise<number> =>
    Number((await work.crictl(["logs", "--tail", "1", id], deadline)).stdout);
  const first = soon();
  while (!((await last(first)) >= 1));
  await node().containerd.kill9(soon());
  await node().containerd.start(soon());
  await node().crictl.ready(soon());
  const back = soon();
  const before = await last(back);
  while (!((await last(back)) > before));
  await work.crictl(["stop", "--timeout", "30", id], soon());
  const { exitCode, state } = await work.status(id, soon());
  t.deepEqual([state, exitCode], ["CONTAINER_EXITED", 8]);
  t.true(await stillWorks());
});

test.serial("twelve containers in one pod", async (t) => {
  const names = Array.from({ length: 12 }, (_, index) => `one-${index}`);
  const ids = await Promise.all(names.map((name) => pod.start(name, { command: STUBBORN }, soon())));
  const states = await Promise.all(ids.map(async (id) => (await work.status(id, soon())).state));
  t.deepEqual(new Set(states), new Set(["CONTAINER_RUNNING"]));
  const hosts = await Promise.all(ids.map((id) => work.execSync(id, ["hostname"], soon())));
  t.deepEqual(new Set(hosts.map(({ stdout }) => stdout.trim())), new Set(["main"]));
  // All at once, and with them the pod.
  await node().crictl.stopp(pod.id, soon());
  for (const id of ids) t.is((await work.status(id, soon())).exitCode, 137);
  await node().crictl.rmp(pod.id, soon());
});
