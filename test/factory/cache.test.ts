// Requires root, containerd, CNI plugins, QEMU and what the set-up puts below build/.
// Pods that take a restored VM from `tapir factory serve`, and what becomes of them when it dies.
import { copyFileSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import test from "ava";
import { askGuest, connectManagement, methods } from "../../cli/management-client.ts";
import type { CacheStatus } from "../../shim/factory/cache-status.ts";
import type { NodeFactoryStatus } from "../../shim/factory/node-factory.ts";
import { sandboxDirectory } from "../../shim/state/directory.ts";
import { readTimeline } from "../../shim/state/timeline.ts";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import { hasLedger, readLedger } from "../../sys/ledger.ts";
import { type CacheServer, configureCache, startCacheServer } from "../harness/cache-server.ts";
import { nodeInventory, useNode } from "../harness/fixture.ts";
import { assertClock } from "../harness/guest-clock.ts";
import { readGuestState } from "../harness/guest-state.ts";
import { BUILT, PROJECT } from "../harness/project.ts";

const node = useNode(test);
const SIZE = 2;
/** Of a process's CPU time, as in /proc/<pid>/stat. */
const TICK_MS = 10;
let server: CacheServer | undefined;

const soon = (): Deadline => deadlineIn(60_000, "test the VM cache");
const directoryOf = (id: string): string => sandboxDirectory(node().stateDirectory, "k8s.io", id);
const home = (): string => join(node().stateDirectory, ".cache");

/** The clones that a server's ledgers know of. */
function clones(): string[] {
  const names = readdirSync(node().stateDirectory).includes(".cache") ? readdirSync(home()) : [];
  return names.filter((name) => hasLedger(join(home(), name)));
}

async function runp(name: string): Promise<{ id: string; way: "cache" | "restored" | "booted" }> {
  const id = await node().crictl.runp(node().podConfig(name), "tapir", soon());
  const steps = readTimeline(directoryOf(id)).steps.map((step) => step.name);
  const way = steps.includes("load state") ? "restored" : steps.includes("hot-plug") ? "cache" : "booted";
  return { id, way };
}

async function answers(id: string): Promise<void> {
  const { addresses } = await node().crictl.inspectp(id, soon());
  for (const address of addresses) await node().ping(address, soon());
}

function tapir(...args: readonly string[]): Promise<{ stdout: string; stderr: string }> {
  const variable = `TAPIR_CONFIG=${node().directory}/configuration.toml`;
  return node().run("env", [variable, join(BUILT.shim, "tapir"), ...args], soon());
}

async function cleanup(): Promise<string> {
  const { stdout, stderr } = await tapir("cleanup");
  return stdout + stderr;
}

async function cacheStatus(): Promise<CacheStatus> {
  const { stdout } = await tapir("factory", "status", "--json");
  return (JSON.parse(stdout) as NodeFactoryStatus).cache;
}

test.serial(
  "three pods at once: two take a VM of the cache, who finds none restores its own; the cache refills",
  async (t) => {
    configureCache(node(), SIZE);
    server = startCacheServer(node());
    await server.ready(SIZE, deadlineIn(120_000, "fill the cache"));
    t.is(clones().length, SIZE);
    const { processes } = await nodeInventory(node(), soon());
    t.is(Object.values(processes).filter((line) => line.includes("qemu-system")).length, SIZE, "seen");
    const pods = await Promise.all(["one", "two", "three"].map(runp));
    const ways = pods.map(({ way }) => way).sort();
    // Where the processors are busy with something else the cache may have a new one before the third asks.
    const served = ways.filter((way) => way === "cache").length;
    t.deepEqual(
      ways,
      served > SIZE ? ["cache", "cache", "cache"] : ["cache", "cache", "restored"],
      server.log(),
    );
    const views = [];
    for (const { id } of pods) {
      await t.notThrowsAsync(answers(id));
      const { differences } = await readGuestState(
        node().stateDirectory,
        await node().crictl.inspectp(id, soon()),
        soon(),
      );
      t.deepEqual(differences, []);
      const view = await askGuest(directoryOf(id));
      using management = await connectManagement(directoryOf(id));
      await assertClock(t, () => management.call(methods.getGuestDetails, {}));
      views.push(view.details);
    }
    for (const field of ["randomUuid", "machineId", "bootId", "hostname"] as const)
      t.is(new Set(views.map((details) => details[field])).size, pods.length, field);
    await server.ready(SIZE, soon());
    t.is(clones().length, SIZE);
    const counts = { target: SIZE, ready: SIZE, misfits: 0, served };
    t.like(await cacheStatus(), { state: "running", target: SIZE, server: { ...counts, pid: server.pid } });
    const line = `VM cache: 2 of 2 clones ready, ${served} taken; server `;
    t.true((await tapir("factory", "status")).stdout.split("\n").some((one) => one.startsWith(line)));
  },
);

test.serial("what waits costs no processor time", async (t) => {
  const cpu = (): number[] =>
    clones().map((name) => {
      const undo = readLedger(join(home(), name)).find((entry) => entry.undo.kind === "process")?.undo;
      const pid = undo?.kind === "process" ? (undo.pid ?? 0) : 0;
      const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ").at(-1)?.split(" ") ?? [];
      return TICK_MS * (Number(fields[11]) + Number(fields[12]));
    });
  const before = cpu();
  await setTimeout(1000);
  const after = cpu();
  t.is(after.length, SIZE);
  for (const [index, ms] of after.entries()) t.true(ms - (before[index] ?? 0) <= 2 * TICK_MS);
});

test.serial("a second server is refused and takes nothing from the first", async (t) => {
  const second = startCacheServer(node());
  await soon().race(second.ended);
  t.regex(second.log(), /cannot serve the VM cache/);
  t.is(clones().length, SIZE);
});

test.serial(
  "a configuration without a cache: the server's exit code tells systemd not to try again",
  async (t) => {
    const directory = join(node().directory, "without");
    mkdirSync(directory);
    const path = join(directory, "configuration.toml");
    copyFileSync(join(node().directory, "configuration.toml"), path);
    const useless = startCacheServer(node(), { TAPIR_CONFIG: path });
    const code = await soon().race(useless.ended);
    t.regex(useless.log(), /factory\.cache_size is 0/);
    const unit = readFileSync(join(PROJECT, "configs/systemd/tapir-factory.service"), "utf8");
    t.true(unit.includes(`\nRestartPreventExitStatus=${code}\n`));
  },
);

test.serial("kill -9 of the server: pods live on, new ones do without, the next one cleans up", async (t) => {
  await server?.end("SIGKILL", soon());
  const left = clones();
  t.is(left.length, SIZE);
  t.like(await cacheStatus(), { state: "absent", target: SIZE });
  const old = await node().crictl.pods(soon());
  t.is(old.length, 3);
  for (const id of old) await t.notThrowsAsync(answers(id));
  const pod = await runp("without");
  t.is(pod.way, "restored");
  await t.notThrowsAsync(answers(pod.id));
  server = startCacheServer(node());
  await server.ready(SIZE, soon());
  t.deepEqual(
    clones().filter((name) => left.includes(name)),
    [],
  );
  for (const id of old) await t.notThrowsAsync(answers(id));
  // Somebody else's child by now: its end is noticed all the same.
  await node().removePods(soon());
  t.is(await server.end("SIGTERM", soon()), 0, server.log());
  t.deepEqual(clones(), []);
  t.false(readdirSync(node().stateDirectory).includes("cache.sock"));
});

for (const point of ["cache.offer", "cache.offer!", "cache.cede", "cache.cede!"]) {
  test.serial(`the server is killed at ${point}: the pod restores its own, nothing is left`, async (t) => {
    configureCache(node(), 1);
    server = startCacheServer(node(), { TAPIR_FAILPOINTS: `${point}=kill` });
    await server.ready(1, soon());
    const pod = await runp(`killed-${point.replace(/\W/g, "-")}`.replace(/-+$/, "-after"));
    await soon().race(server.ended);
    t.is(pod.way, "restored");
    await t.notThrowsAsync(answers(pod.id));
    t.notRegex(await cleanup(), /cannot/);
    t.deepEqual(clones(), []);
    await t.notThrowsAsync(answers(pod.id));
    await node().removePods(soon());
    // The inventory after the last test finds what else may be left: QEMU above all.
  });
}
