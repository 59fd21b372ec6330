import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { Code } from "../../sys/status.ts";
import { startTaskShim } from "../../test/fakes/task-shim.ts";

/** A bundle that belongs to no pod. */
const ALONE = { annotations: {} };
const hook = (script: string) => ({
  path: "/bin/sh",
  args: ["hook", "-c", script],
  env: ["PATH=/usr/bin:/bin"],
});
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

test("its hooks run on the host: before it is made, with its task's pid, and after it is gone", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "single-"));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const out = (name: string) => join(directory, name);
  const hooks = {
    createRuntime: [hook(`cat > ${out("first")}`)],
    poststop: [hook(`cat > ${out("last")}`), hook("exit 1")],
  };
  let before = false;
  const { call, create, created, calls } = await startTaskShim(
    t,
    { ...ALONE, hooks },
    {
      waitProcess: ended,
      async createContainer() {
        before = existsSync(out("first"));
        return { pid: 1, failure: undefined, ignored: [] };
      },
    },
  );
  created.resolve();
  await create();
  t.true(before);
  t.like(JSON.parse(readFileSync(out("first"), "utf8")), { id: "pod", status: "creating", pid: 4242 });
  await call("wait", { id: "pod" });
  t.false(existsSync(out("last")));
  await call("delete", { id: "pod" });
  t.like(JSON.parse(readFileSync(out("last"), "utf8")), { id: "pod", status: "stopped", pid: 0 });
  t.deepEqual(calls, ["create", "stop", "close"]);
});

test("a hook that fails is why it was not made, and nothing of it stays", async (t) => {
  const { create, created, shutdown, call } = await startTaskShim(t, {
    ...ALONE,
    hooks: { prestart: [hook("echo no bridge >&2; exit 1")] },
  });
  created.resolve();
  await t.throwsAsync(create(), { message: /prestart hook \/bin\/sh.*no bridge/ });
  await t.throwsAsync(call("state", { id: "pod" }), { code: Code.NOT_FOUND });
  await call("shutdown", { id: "pod" });
  await shutdown;
});
