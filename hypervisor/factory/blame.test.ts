/** Requires qemu-system-x86_64 and root (network namespaces, tmpfs). What goes wrong and is not the template's fault. */
import { join } from "node:path";
import test from "ava";
import { deadlineIn } from "../../sys/deadline.ts";
import { bench, fill, smallStore, soon, start } from "../../test/fakes/factory-start.ts";
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
