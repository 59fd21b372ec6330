import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { startTaskShim } from "../../test/fakes/task-shim.ts";

/** As after a restart of containerd during Create: it finds a container that is coming up, kills it, and waits. */
test("who waits for a container that is given up while it is made hears that it never was", async (t) => {
  const asked = Promise.withResolvers<void>();
  const answered = Promise.withResolvers<void>();
  const { call, create, created, directory, events } = await startTaskShim(
    t,
    {},
    {
      async createContainer() {
        asked.resolve();
        await answered.promise;
        return { pid: 1, failure: undefined, ignored: [] };
      },
    },
  );
  created.resolve();
  await create();
  await call("start", { id: "pod" });
  const bundle = join(directory, "web");
  mkdirSync(bundle);
  const annotations = {
    "io.kubernetes.cri.container-type": "container",
    "io.kubernetes.cri.sandbox-id": "pod",
  };
  writeFileSync(join(bundle, "config.json"), JSON.stringify({ annotations }));
  const creating = call("create", { id: "web", bundle });
  await asked.promise;
  const waiting = call("wait", { id: "web" }, 2000);
  await call("kill", { id: "web", signal: 9 });
  answered.resolve();
  await t.throwsAsync(creating, { message: /told to stop while it was starting/ });
  await t.throwsAsync(waiting, { message: /told to stop while it was starting/ });
  t.deepEqual(events, ["create", "start"]);
});
