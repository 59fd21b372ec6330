/** Requires qemu-system-x86_64 and root (network namespaces). The guests are a few instructions long. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  closeSync,
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import { tryLock } from "../../sys/file-lock.ts";
import { MS, mount, unmount } from "../../sys/mount.ts";
import { inFreshNetns } from "../../sys/netns.ts";
import { openTap } from "../../sys/tap.ts";
import { type FactoryBench, factoryBench } from "../../test/fakes/factory.ts";
import type { Vm, VmNic } from "../hypervisor.ts";
import { lockPathOf } from "./directory.ts";
import { createFactory, type FactorySettings } from "./factory.ts";
import { listTemplates } from "./store.ts";

const soon = (): Deadline => deadlineIn(40_000, "test");

function bench(t: ExecutionContext): FactoryBench {
  return factoryBench((work) => t.teardown(work));
}

function nic(t: ExecutionContext, id: string, queues = 1): VmNic {
  const netns = "/proc/thread-self/ns/net";
  const tapFds = inFreshNetns(() => openTap({ netns, name: "tap0", queues }));
  t.teardown(() => {
    for (const fd of tapFds) closeSync(fd);
  });
  return { id, mac: "02:00:00:00:00:07", tapFds, vhostFds: [] };
}

let count = 0;
async function start(
  t: ExecutionContext,
  { plan, settings, ledger }: FactoryBench,
  change: Partial<FactorySettings> = {},
  nics: readonly VmNic[] = [nic(t, "net0")],
): Promise<Vm> {
  count += 1;
  const own = ledger(`vm${count}`);
  const spec = { ...plan, name: `vm${count}`, directory: own.directory };
  return createFactory({ ...settings, ...change }).start(spec, Promise.resolve(nics), own, soon());
}

function onlyTemplate({ store }: FactoryBench): string {
  const [template] = listTemplates(store);
  return join(store, template?.key ?? "none");
}

for (const memory of ["copy", "cow"] as const) {
  test(`the first VM builds, the next ones are restored: memory = ${memory}`, async (t) => {
    const here = bench(t);
    const first = await start(t, here, { memory });
    const second = await start(t, here, { memory });
    t.deepEqual(here.warnings, []);
    t.is(here.builds(), 1);
    for (const vm of [first, second]) {
      t.deepEqual([...(vm.restored?.hardwareMacs ?? [])], [["net0", "02:74:61:70:69:72"]]);
      const clock = vm.restored?.clock;
      t.true((clock?.monotonicNanoseconds ?? 0n) >= 5_000_000_000n);
      t.true(Math.abs(Number((clock?.unixNanoseconds ?? 0n) / 1_000_000n) - Date.now()) < 20_000);
      await vm.stop(soon());
    }
    t.like(listTemplates(here.store)[0], { hits: 2 });
    t.deepEqual(readdirSync(here.store).toSorted(), [listTemplates(here.store)[0]?.key]);
  });
}

test("ten that start at once build one template", async (t) => {
  const here = bench(t);
  const vms = await Promise.all(Array.from({ length: 10 }, () => start(t, here)));
  t.deepEqual(here.warnings, []);
  t.is(here.builds(), 1);
  t.true(vms.every(({ restored }) => restored !== undefined));
});

test("several NICs: the first is warm, or all are hot", async (t) => {
  const here = bench(t);
  const hot = await start(t, here, { attach: "hot" }, [nic(t, "net0")]);
  t.deepEqual([...(hot.restored?.hardwareMacs ?? [])], []);
  const two = await start(t, here, {}, [nic(t, "net0"), nic(t, "net1")]);
  t.is(listTemplates(here.store).length, 2);
  t.deepEqual([...(two.restored?.hardwareMacs.keys() ?? [])], ["net0"]);
});

test("off and cold boot without a template", async (t) => {
  const here = bench(t);
  for (const change of [{ template: false }, { attach: "cold" }] as const) {
    t.is((await start(t, here, change)).restored, undefined);
  }
  t.is(here.builds(), 0);
  t.false(existsSync(here.store));
});

const damages: Readonly<Record<string, (directory: string) => void>> = {
  "a truncated memory file": (directory) => truncateSync(join(directory, "memory"), 1 << 20),
  "a memory file full of holes": (directory) => {
    truncateSync(join(directory, "memory"), 0);
    truncateSync(join(directory, "memory"), 64 << 20);
  },
  "a truncated state file": (directory) => truncateSync(join(directory, "state"), 100),
  "another state file": (directory) => {
    const path = join(directory, "state");
    const state = readFileSync(path);
    state.writeUInt8(state.readUInt8(state.length >> 1) ^ 1, state.length >> 1);
    writeFileSync(path, state);
  },
  "a half-written manifest": (directory) =>
    truncateSync(join(directory, "manifest.json"), statSync(join(directory, "manifest.json")).size >> 1),
};
for (const [name, damage] of Object.entries(damages)) {
  test(`${name} is noticed: a new template takes its place`, async (t) => {
    const here = bench(t);
    await start(t, here);
    damage(onlyTemplate(here));
    const vm = await start(t, here);
    t.truthy(vm.restored);
    t.is(here.builds(), 2);
    t.is(listTemplates(here.store).length, 1);
  });
}

test("another QEMU: another template, and the old one goes", async (t) => {
  const here = bench(t);
  await start(t, here);
  const before = onlyTemplate(here);
  appendFileSync(here.plan.qemu, "# another version\n");
  t.truthy((await start(t, here)).restored);
  t.is(here.builds(), 2);
  t.is(listTemplates(here.store).length, 1);
  t.not(onlyTemplate(here), before);
});

test("a template that QEMU does not take: the guest boots, and the next one builds again", async (t) => {
  const here = bench(t);
  await start(t, here);
  const directory = onlyTemplate(here);
  const manifest = join(directory, "manifest.json");
  const { createHash } = await import("node:crypto");
  const nonsense = Buffer.alloc(1000, 7);
  writeFileSync(join(directory, "state"), nonsense);
  const written = JSON.parse(readFileSync(manifest, "utf8"));
  written.state = { bytes: 1000, sha256: createHash("sha256").update(nonsense).digest("hex") };
  writeFileSync(manifest, JSON.stringify(written));
  const vm = await start(t, here);
  t.is(vm.restored, undefined);
  t.regex(here.warnings.join(), /the template cannot be restored: the guest boots/);
  t.truthy((await start(t, here)).restored);
});

test("a guest that cannot be prepared: everybody boots for a while, nobody tries again", async (t) => {
  const here = bench(t);
  let tries = 0;
  const prepare = async (): Promise<never> => {
    tries += 1;
    throw new Error("the agent is silent");
  };
  t.is((await start(t, here, { prepare })).restored, undefined);
  t.is((await start(t, here, { prepare })).restored, undefined);
  t.is(tries, 1);
  t.regex(here.warnings[0] ?? "", /no template: the guest boots.*the agent is silent/);
  t.regex(here.warnings[1] ?? "", /not long ago: .*the agent is silent/);
  t.false(existsSync(join(here.store, "building")));
});

test("no space for the template: the guest boots", async (t) => {
  const here = bench(t);
  const small = join(here.directory, "small");
  const { mkdirSync } = await import("node:fs");
  mkdirSync(small, { mode: 0o700 });
  const data = "size=64k,mode=0700";
  mount({ source: "small", target: small, type: "tmpfs", flags: MS.NODEV, data });
  t.teardown(() => unmount(small));
  const vm = await start(t, here, { store: small });
  t.is(vm.restored, undefined);
  t.is(here.warnings.length, 1);
});

test("what a killed builder left is cleared, its lock taken over", async (t) => {
  const here = bench(t);
  const program = `
    import { buildTemplate } from ${JSON.stringify(join(import.meta.dirname, "build.ts"))};
    import { prepareDirectory } from ${JSON.stringify(join(import.meta.dirname, "directory.ts"))};
    import { tryLock } from ${JSON.stringify(join(import.meta.dirname, "../../sys/file-lock.ts"))};
    import { deadlineIn } from ${JSON.stringify(join(import.meta.dirname, "../../sys/deadline.ts"))};
    const store = ${JSON.stringify(here.store)};
    globalThis.lock = tryLock(${JSON.stringify(lockPathOf(here.store))});
    prepareDirectory(store);
    const prepare = () => new Promise(() => process.stdout.write("booted"));
    const plan = ${JSON.stringify(here.plan)};
    setInterval(() => undefined, 1000);
    await buildTemplate({ plan, key: "0".repeat(32), parts: {}, store, prepare }, deadlineIn(60000, "build"));`;
  const builder = spawn(process.execPath, ["--input-type=module", "-e", program], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(builder.stdout, "data");
  t.is(tryLock(lockPathOf(here.store)), undefined);
  const starting = start(t, here);
  builder.kill("SIGKILL");
  t.truthy((await starting).restored);
  t.is(here.builds(), 1);
  t.deepEqual(
    readdirSync(here.store),
    listTemplates(here.store).map(({ key }) => key),
  );
});

test("NICs that never come end the start with their reason", async (t) => {
  const here = bench(t);
  const own = here.ledger("lost");
  const spec = { ...here.plan, directory: own.directory };
  const nics = Promise.reject(new Error("the netns is gone"));
  const starting = createFactory(here.settings).start(spec, nics, own, soon());
  await t.throwsAsync(starting, { message: /the netns is gone/ });
});
