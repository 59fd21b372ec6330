import test from "ava";
import { Code } from "../../sys/status.ts";
import { startTaskShim } from "../../test/fakes/task-shim.ts";

/** A bundle that belongs to no pod. */
const ALONE = { annotations: {} };
const ended = async () => ({ exitStatus: 3, unixTimeNanoseconds: 0n, oomKilled: false });

test("a delete that fails at the VM can be tried again, and is told once", async (t) => {
  const over = Promise.withResolvers<void>();
  const waitProcess = () => over.promise.then(ended);
  const { call, create, created, pod, events, shutdown } = await startTaskShim(t, ALONE, { waitProcess });
  created.resolve();
  await create();
  await call("start", { id: "pod" });
  // At the VM's end, and when Delete tries again.
  pod.failClose = 2;
  over.resolve();
  t.like(await call("wait", { id: "pod" }), { exitStatus: 3 });
  await t.throwsAsync(call("delete", { id: "pod" }), { message: /busy/ });
  t.like(await call("delete", { id: "pod" }), { exitStatus: 3, pid: 4242 });
  t.deepEqual(events, ["create", "start", "exit", "delete"]);
  await t.throwsAsync(call("state", { id: "pod" }), { code: Code.NOT_FOUND });
  await call("shutdown", { id: "pod" });
  await shutdown;
});

test("why a container was not made is what its caller hears, also when its VM is not undone at once", async (t) => {
  const { create, created, pod, call, shutdown } = await startTaskShim(t, ALONE, {
    async createContainer() {
      throw new Error("no such rootfs");
    },
  });
  created.resolve();
  pod.failClose = 2;
  await t.throwsAsync(create(), { message: /no such rootfs/ });
  // It is still there for whoever has to undo it.
  await call("delete", { id: "pod" });
  await call("shutdown", { id: "pod" });
  await shutdown;
});
