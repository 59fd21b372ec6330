// Requires root, containerd, CNI plugins, QEMU and what the set-up puts below build/.
// Every way in which a pod can get its VM and its NICs, each with the same assertions.
import { closeSync, existsSync, openSync, readFileSync, readSync, truncateSync, writeSync } from "node:fs";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import type { FactoryStatus } from "../../hypervisor/factory/status.ts";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import { configureCache, startCacheServer } from "../harness/cache-server.ts";
import { nodeInventory, useNode } from "../harness/fixture.ts";
import { TB_SIZE_FOR_CONTAINERS_MIB } from "../harness/node.ts";
import { BUILT } from "../harness/project.ts";
import { settledDifference } from "../harness/settle.ts";
import { MORE_LINKS, PLUGIN } from "./plugin.ts";
import {
  assertConnected,
  removePod,
  type Step,
  sharesMemory,
  startPod,
  tapQueues,
  translatedMib,
  useQueues,
} from "./pod.ts";

/** Of its own, so that it is known which pods build. */
const FACTORY = `/dev/shm/tapir-attach-${process.pid}`;
const GATEWAYS = ["10.88.0.1", "fd00:88::1"];
const KEYS = ["template", "attach", "memory", "cache_size", "default_vcpus"];

const node = useNode(test, {
  plugins: { "attach-test": PLUGIN },
  cni: (conflist) => ({
    ...conflist,
    plugins: conflist.plugins.map((one) => (one.type === "bridge" ? { ...one, type: "attach-test" } : one)),
  }),
  configuration: `[factory]\npath = "${FACTORY}"\n[runtime]\nenable_annotations = ${JSON.stringify(KEYS)}\n`,
});

interface Path {
  readonly name: string;
  /** Configuration of the pod. */
  readonly keys: Readonly<Record<string, string>>;
  readonly steps: readonly Step[];
  /** Pods that start at once; more than one where there is no template yet: they race for it. */
  readonly pods?: number;
  readonly privateMemory?: true;
  readonly queues?: number;
  readonly cache?: true;
}

const MIB = 1024 * 1024;
/** What a template of the usual guest, of 256 MiB, may take. */
const TEMPLATE_MIB = 80;

const TWO = { "hypervisor.qemu.default_vcpus": "2" };
const paths: readonly Path[] = [
  { name: "off", keys: { "factory.template": "false" }, steps: ["guest boot"] },
  { name: "cold", keys: { "factory.attach": "cold", ...TWO }, queues: 2, steps: ["guest boot"] },
  { name: "warm", keys: { "factory.attach": "warm" }, pods: 2, steps: ["load state"] },
  { name: "hot", keys: { "factory.attach": "hot" }, steps: ["load state", "hot-plug"] },
  { name: "warm-queues", keys: { "factory.attach": "warm", ...TWO }, queues: 2, steps: ["load state"] },
  {
    name: "hot-queues",
    keys: { "factory.attach": "hot", ...TWO },
    queues: 2,
    steps: ["load state", "hot-plug"],
  },
  { name: "cow", keys: { "factory.memory": "cow" }, privateMemory: true, steps: ["load state"] },
  { name: "cache", keys: {}, cache: true, steps: ["cache", "hot-plug"] },
];

const soon = (): Deadline => deadlineIn(120_000, "start a pod");

async function leftOver(before: Awaited<ReturnType<typeof nodeInventory>>): Promise<string[]> {
  const settle = deadlineIn(10_000, "settle");
  return settledDifference(before, () => nodeInventory(node(), settle), settle);
}

for (const path of paths) {
  const { name, keys, steps, pods = 1, queues = 1 } = path;
  test.serial(`${name}: ${steps.join(", ")}${queues > 1 ? ` with ${queues} queues` : ""}`, async (t) => {
    const before = await nodeInventory(node(), soon());
    if (path.cache) configureCache(node(), 1);
    const server = path.cache ? startCacheServer(node()) : undefined;
    t.teardown(() => server?.end("SIGTERM", soon()));
    await server?.ready(1, soon());
    const startMs = performance.now();
    const started = await Promise.all(
      Array.from({ length: pods }, (_, index) => startPod(node(), `${name}-${index}`, keys, soon())),
    );
    t.log(`${Math.round(performance.now() - startMs)} ms for ${pods}`);
    for (const pod of started) {
      t.deepEqual(pod.steps, steps);
      t.is(sharesMemory(pod), path.privateMemory !== true);
      // Not under KVM, which translates nothing.
      const bound = steps.includes("guest boot") ? 256 : TB_SIZE_FOR_CONTAINERS_MIB;
      t.true([bound, undefined].includes(translatedMib(pod)), `tb-size=${translatedMib(pod)}`);
      await assertConnected(t, node(), pod, { eth0: { node: GATEWAYS, pod: pod.addresses } });
      t.is(pod.addresses.length, 2);
      t.is(await tapQueues(pod), queues);
      if (queues > 1) {
        const used = await useQueues(node(), pod, queues, GATEWAYS[0] ?? "");
        t.deepEqual(used.names, ["rx-0", "rx-1", "tx-0", "tx-1"]);
        t.is(used.received.length, queues);
        t.log(`interrupts of the queues: ${used.received}`);
        t.true(
          used.received.every((count) => count > 0),
          `interrupts: ${used.received}`,
        );
      }
      await removePod(node(), pod, soon());
    }
    if (pods > 1) await assertOneTemplate(t, pods);
    t.is(await server?.end("SIGTERM", soon()), server === undefined ? undefined : 0);
    t.deepEqual(await leftOver(before), []);
  });
}

/** Whoever had built another one would have removed the first with its hits. */
async function assertOneTemplate(t: ExecutionContext, hits: number): Promise<void> {
  const { wanted, templates } = JSON.parse(await factory("status", "--json")) as FactoryStatus;
  t.like(templates, [{ key: wanted, state: "current", hits }]);
  const mib = (templates[0]?.allocatedBytes ?? Number.NaN) / MIB;
  t.log(`the template takes ${mib.toFixed(1)} MiB`);
  t.true(mib <= TEMPLATE_MIB, `${mib}`);
}

test.serial("three NICs: one warm, two hot; each keeps its name", async (t) => {
  const before = await nodeInventory(node(), soon());
  const pod = await startPod(node(), "three", { "factory.attach": "warm" }, soon());
  t.deepEqual(pod.steps, ["load state", "hot-plug", "hot-plug"]);
  const more = Object.fromEntries(MORE_LINKS.map(({ name, ...ends }) => [name, ends]));
  await assertConnected(t, node(), pod, { eth0: { node: GATEWAYS, pod: pod.addresses }, ...more });
  await removePod(node(), pod, soon());
  t.deepEqual(await leftOver(before), []);
});

test.serial("no NIC: the guest has its loopback", async (t) => {
  const before = await nodeInventory(node(), soon());
  const pod = await startPod(node(), "none", { "factory.attach": "warm" }, soon());
  t.deepEqual(pod.steps, ["load state"]);
  await assertConnected(t, node(), pod, {});
  await removePod(node(), pod, soon());
  t.deepEqual(await leftOver(before), []);
});

async function tapir(...words: readonly string[]): Promise<string> {
  const variable = `TAPIR_CONFIG=${node().directory}/configuration.toml`;
  const args = [variable, join(BUILT.shim, "tapir"), ...words];
  const { exitCode, stdout, stderr } = await node().run("env", args, soon());
  if (exitCode !== 0) throw new Error(stderr);
  return stdout;
}

const factory = (verb: "init" | "status" | "destroy", ...more: readonly string[]): Promise<string> =>
  tapir("factory", verb, ...more);

test.serial("pods that raced built one template; each configuration has its own", async (t) => {
  const { templates } = JSON.parse(await factory("status", "--json")) as FactoryStatus;
  const differences = templates.map(({ state, differs }) => `${state} ${differs.join()}`).toSorted();
  t.deepEqual(differences, ["current ", ...new Array<string>(3).fill("other arguments")]);
});

test.serial("a damaged template whose guests do not answer: the pod boots, the template goes", async (t) => {
  const { wanted, templates } = JSON.parse(await factory("status", "--json")) as FactoryStatus;
  spoil(join(FACTORY, wanted, "memory"));
  const pod = await startPod(node(), "spoiled", { "factory.attach": "warm" }, soon());
  t.deepEqual(pod.steps, ["load state", "guest boot"]);
  await assertConnected(t, node(), pod, { eth0: { node: GATEWAYS, pod: pod.addresses } });
  await removePod(node(), pod, soon());
  const after = JSON.parse(await factory("status", "--json")) as FactoryStatus;
  t.is(after.templates.length, templates.length - 1);
  t.false(after.templates.some(({ key }) => key === wanted));
  await factory("destroy");
  t.false(existsSync(FACTORY));
});

test.serial("tapir factory init makes the template beforehand; damage shows, and is repaired", async (t) => {
  const line = /^template ([0-9a-f]{32}): \d+ MiB, ready after [\d.]+ s\n$/;
  const [, key = ""] = line.exec(await factory("init")) ?? [];
  t.regex(await factory("status"), new RegExp(`^${key.slice(0, 12)} +current +`, "m"));
  const pod = await startPod(node(), "prepared", { "factory.attach": "warm" }, soon());
  t.deepEqual(pod.steps, ["load state"]);
  await removePod(node(), pod, soon());
  t.is((JSON.parse(await factory("status", "--json")) as FactoryStatus).templates[0]?.hits, 1);
  truncateSync(join(FACTORY, key, "state"), 1000);
  t.regex(await factory("status"), /^[0-9a-f]{12} +damaged: its state file has another size +/m);
  t.is(line.exec(await factory("init"))?.[1], key);
  const { templates } = JSON.parse(await factory("status", "--json")) as FactoryStatus;
  t.like(templates, [{ key, state: "current", hits: 0 }]);
});

test.serial("tapir timeline draws a start as a picture", async (t) => {
  const pod = await startPod(node(), "drawn", { "factory.attach": "warm" }, soon());
  const path = join(node().directory, "start.svg");
  t.is(await tapir("timeline", pod.id.slice(0, 12), "--svg", path), "");
  const picture = readFileSync(path, "utf8");
  t.regex(picture, /^<svg [^>]*>.*<\/svg>\n?$/s);
  for (const step of ["discover", "memory copy", "load state", "configure"])
    t.true(picture.includes(step), step);
  await removePod(node(), pod, soon());
});

/** Another content, but as many bytes: only who runs it can notice. */
function spoil(path: string): void {
  const memory = openSync(path, "r+");
  const block = Buffer.alloc(1 << 20);
  for (let at = 0; readSync(memory, block, 0, block.length, at) > 0; at += block.length) {
    if (block.some((byte) => byte !== 0)) writeSync(memory, block.fill(0xff), 0, block.length, at);
  }
  closeSync(memory);
}

test.after.always("remove the templates", async () => {
  if (existsSync(FACTORY)) await factory("destroy");
});
