/** Requires qemu-system-x86_64 and root (network namespaces, tmpfs). What goes wrong and is not the template's fault. */
import { join } from "node:path";
import test from "ava";
import { deadlineIn } from "../../sys/deadline.ts";
import { tryLock } from "../../sys/file-lock.ts";
import { bench, fill, nic, onlyTemplate, smallStore, soon, start } from "../../test/fakes/factory-start.ts";
import { lockPathOf } from "./directory.ts";
import { createFactory } from "./factory.ts";
import { listTemplates } from "./store.ts";

test("tmpfs is full once the template is there: guests are restored, only not counted", async (t) => {
  const here = bench(t);
  const store = smallStore(t, here, "96m");
  const vm = await start(t, here, {
    store,
    measure(step, work) {
      if (step === "load state") fill(join(store, "stranger"));
      return work();
    },
  });
  t.truthy(vm.restored);
  t.deepEqual(here.warnings, []);
  t.like(listTemplates(store), [{ hits: 0 }]);
});

test("a pod that is given up while it makes the template: the next one makes it", async (t) => {
  const here = bench(t);
  const caller = new AbortController();
  const own = here.ledger("given-up");
  const settings: typeof here.settings = {
    ...here.settings,
    prepare(_, deadline) {
      caller.abort(new Error("the pod is gone"));
      return deadline.race(new Promise(() => undefined));
    },
  };
  const plan = { ...here.plan, directory: own.directory };
  const deadline = deadlineIn(soon().remainingMs(), "start a pod", caller.signal);
  const starting = createFactory(settings).start(plan, Promise.resolve([]), own, deadline);
  await t.throwsAsync(starting, { message: "the pod is gone" });
  t.truthy((await start(t, here)).restored);
  t.deepEqual(here.warnings, []);
});

test("a guest that is not prepared in the time for it is remembered", async (t) => {
  const here = bench(t);
  const prepare: typeof here.prepare = (_, deadline) =>
    deadline.within(10, "prepare a guest").race(new Promise(() => undefined));
  await start(t, here, { prepare });
  t.is((await start(t, here)).restored, undefined);
  t.regex(here.warnings[1] ?? "", /not long ago: .*prepare a guest/);
});

test("more NICs than ports: the guest boots with all of them, the template stays", async (t) => {
  const here = bench(t);
  await start(t, here);
  const before = onlyTemplate(here);
  const vm = await start(t, here, {}, [nic(t, "net0"), nic(t, "net1"), nic(t, "net2")]);
  t.is(vm.restored, undefined);
  t.regex(
    here.warnings.join(),
    /^a NIC of the pod cannot be plugged in: the guest boots: .*net2.*all 2 are in use/,
  );
  t.is(onlyTemplate(here), before);
  t.truthy((await start(t, here)).restored);
  t.is(here.builds(), 1);
});

for (const [name, at] of [
  ["the warm one", 0],
  ["a further one", 1],
] as const) {
  test(`a NIC that QEMU refuses, ${name}: the template stays`, async (t) => {
    const here = bench(t);
    await start(t, here);
    const good = [nic(t, "net0"), nic(t, "net1")];
    // Not a tap.
    const refused = good.map((one, index) => (index === at ? { ...one, tapFds: [0] } : one));
    await t.throwsAsync(start(t, here, {}, refused));
    t.regex(here.warnings.join(), /^a NIC of the pod cannot be plugged in: the guest boots: /);
    t.truthy((await start(t, here, {}, good)).restored);
    t.is(here.builds(), 1);
  });
}

test("a template that is found to be of no use while another is being published is left alone", async (t) => {
  const here = bench(t);
  const vm = await start(t, here);
  const directory = onlyTemplate(here);
  const lock = tryLock(lockPathOf(here.store));
  vm.restored?.distrust?.(new Error("it ended"));
  t.is(onlyTemplate(here), directory);
  lock?.release();
  vm.restored?.distrust?.(new Error("it ended"));
  t.deepEqual(listTemplates(here.store), []);
});

test("a guest that only is late: its template goes when the next one is late, too", async (t) => {
  const here = bench(t);
  const vm = await start(t, here);
  const directory = onlyTemplate(here);
  const late = deadlineIn(0, "hear of the guest").signal.reason;
  vm.restored?.distrust?.(late);
  t.is(onlyTemplate(here), directory);
  const other = await start(t, here);
  other.restored?.trust?.();
  other.restored?.distrust?.(late);
  t.is(onlyTemplate(here), directory, "one that answered came in between");
  vm.restored?.distrust?.(late);
  t.deepEqual(listTemplates(here.store), []);
});

test("a restore that takes too long once", async (t) => {
  const here = bench(t);
  await start(t, here);
  const tooLate = (): Promise<never> => deadlineIn(0, "restore").race(new Promise(() => undefined));
  const vm = await start(t, here, {
    measure: (step, work) => (step === "load state" ? tooLate() : work()),
  });
  t.is(vm.restored, undefined);
  t.regex(here.warnings.join(), /^the template cannot be restored: the guest boots: .*finish restore/);
  t.truthy((await start(t, here)).restored);
  t.is(here.builds(), 1);
});
