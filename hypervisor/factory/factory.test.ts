/** Requires qemu-system-x86_64 and root (network namespaces). The guests are a few instructions long. */
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { bench, nic, onlyTemplate, soon, start } from "../../test/fakes/factory-start.ts";
import { createFactory } from "./factory.ts";
import { listTemplates } from "./store.ts";

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

test("memory = cow: the template's memory is open to others only while a QEMU opens it", async (t) => {
  const here = bench(t);
  await start(t, here, { memory: "cow" });
  const memory = join(onlyTemplate(here), "memory");
  const modes = new Set<string>();
  const mode = (): string => (statSync(memory).mode & 0o777).toString(8);
  t.is(mode(), "600");
  const watching = setInterval(() => modes.add(mode()), 1);
  const vms = await Promise.all(Array.from({ length: 4 }, () => start(t, here, { memory: "cow" })));
  clearInterval(watching);
  t.true(vms.every(({ restored }) => restored !== undefined));
  t.true(modes.has("666"), [...modes].join());
  t.is(mode(), "600");
  t.deepEqual(here.warnings, []);
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

test("NICs that never come end the start with their reason", async (t) => {
  const here = bench(t);
  const own = here.ledger("lost");
  const spec = { ...here.plan, directory: own.directory };
  const nics = Promise.reject(new Error("the netns is gone"));
  const starting = createFactory(here.settings).start(spec, nics, own, soon());
  await t.throwsAsync(starting, { message: /the netns is gone/ });
});
