/** Requires qemu-system-x86_64 and root (network namespaces, tmpfs). What goes wrong and is not the template's fault. */

import { join } from "node:path";
import test from "ava";
import { bench, fill, smallStore, start } from "../../test/fakes/factory-start.ts";
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
