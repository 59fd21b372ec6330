/** Requires qemu-system-x86_64 and root (network namespaces, tmpfs). The guests are a few instructions long. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import {
  appendFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import test from "ava";
import { tryLock } from "../../sys/file-lock.ts";
import type { FactoryBench } from "../../test/fakes/factory.ts";
import { bench, fill, onlyTemplate, smallStore, start } from "../../test/fakes/factory-start.ts";
import { lockPathOf } from "./directory.ts";
import { readKeyParts, templateKey } from "./key.ts";
import { forgetMisfortune } from "./misfortune.ts";
import { listTemplates } from "./store.ts";

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
  const vm = await start(t, here, { store: smallStore(t, here, "64k") });
  t.is(vm.restored, undefined);
  t.is(here.warnings.length, 1);
});

/** While it boots the guest needs pages; when it runs, a few now and then. Its state needs more. */
const BOOTED_MS = 700;
const FOR_THE_GUEST = 64 << 10;

test("tmpfs is full while saving: the guest boots, and the template is made when it is tried again", async (t) => {
  const here = bench(t);
  const store = smallStore(t, here, "96m");
  const stranger = join(store, "stranger");
  const prepare: typeof here.prepare = async (guest, deadline) => {
    await sleep(BOOTED_MS);
    fill(stranger);
    truncateSync(stranger, statSync(stranger).size - FOR_THE_GUEST);
    return here.prepare(guest, deadline);
  };
  t.is((await start(t, here, { store, prepare })).restored, undefined);
  t.is(here.warnings.length, 1);
  t.log(here.warnings);
  t.regex(here.warnings[0] ?? "", /^no template: the guest boots: .*cannot move state of the VM/s);
  t.deepEqual(listTemplates(store), []);
  t.false(existsSync(join(store, "building")));
  rmSync(stranger);
  // What an operator's `tapir factory init` does first.
  forgetMisfortune(store, templateKey(readKeyParts(here.plan)));
  t.truthy((await start(t, here, { store })).restored);
});

/** Kills the QEMUs of this bench whose command line has all these words. */
function killQemu({ directory }: FactoryBench, ...words: readonly string[]): number {
  const pids = readdirSync("/proc").filter((name) => {
    if (!/^\d+$/.test(name)) return false;
    const path = `/proc/${name}/cmdline`;
    const line = existsSync(path) ? readFileSync(path, "latin1") : "";
    return [directory, ...words].every((word) => line.includes(word)) && line.includes("qemu-system");
  });
  for (const pid of pids) process.kill(Number(pid), "SIGKILL");
  return pids.length;
}

for (const when of ["before", "after"] as const) {
  test(`QEMU is killed ${when} it loads the state: the guest boots`, async (t) => {
    const here = bench(t);
    await start(t, here);
    let killed = 0;
    const vm = await start(t, here, {
      async measure(step, work) {
        if (step !== "load state") return work();
        if (when === "before") killed += killQemu(here, "-incoming", "vm");
        const result = await work();
        if (when === "after") killed += killQemu(here, "-incoming", "vm");
        return result;
      },
    });
    t.is(killed, 2, "this one's and the first one's");
    t.is(vm.restored, undefined);
    t.regex(here.warnings.join(), /the template cannot be restored: the guest boots.*SIGKILL/);
  });
}

test("QEMU is killed while the template is made: the guest boots", async (t) => {
  const here = bench(t);
  const prepare: typeof here.prepare = async (guest, deadline) => {
    t.is(killQemu(here, "tapir-template"), 1);
    return here.prepare(guest, deadline);
  };
  const vm = await start(t, here, { prepare });
  t.is(vm.restored, undefined);
  t.regex(here.warnings.join(), /no template: the guest boots/);
  t.deepEqual(listTemplates(here.store), []);
  t.false(existsSync(join(here.store, "building")));
});

test("a restored guest that turns out to be of no use: nobody is restored from its template again", async (t) => {
  const here = bench(t);
  await start(t, here);
  const vm = await start(t, here);
  vm.restored?.distrust?.(new Error("it does not answer"));
  t.deepEqual(listTemplates(here.store), []);
  t.truthy((await start(t, here)).restored);
  t.is(here.builds(), 2);
  // Another pod finds out late: today's template is another one.
  vm.restored?.distrust?.(new Error("it does not answer either"));
  t.is(listTemplates(here.store).length, 1);
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
