import test from "ava";
import { Options } from "../../proto/gen/containerd/runtime/options.ts";
import { Status } from "../../proto/gen/containerd/types/task.ts";
import { Code } from "../../sys/status.ts";
import { startTaskShim as shim } from "../../test/fakes/task-shim.ts";
import { exitFile, taskPidFile } from "../bundle-files.ts";

const refused = (code: Code, message?: RegExp) => (message === undefined ? { code } : { code, message });

test("the life of a sandbox: created, running, killed, deleted, and its events in order", async (t) => {
  const { call, create, created, events, directory, calls, shutdown } = await shim(t);
  created.resolve();
  t.deepEqual(await create(), { pid: 4242 });
  t.is(taskPidFile.read(directory), "4242");
  t.like(await call("state", { id: "pod" }), {
    status: Status.CREATED,
    pid: 4242,
    bundle: directory,
    exitStatus: 0,
  });
  const waited = call("wait", { id: "pod" });
  t.deepEqual(await call("start", { id: "pod" }), { pid: 4242 });
  t.like(await call("state", { id: "pod" }), { status: Status.RUNNING, pid: 4242 });
  t.deepEqual(
    (await call("pids", { id: "pod" })).processes.map(({ pid }) => pid),
    [4242],
  );
  t.like(await call("connect", { id: "pod" }), { shimPid: process.pid, taskPid: 4242 });
  t.regex(
    (await call("stats", { id: "pod" })).stats?.typeUrl ?? "",
    /^io\.containerd\.cgroups\.v[12]\.Metrics$/,
  );
  await call("kill", { id: "pod", signal: 9, all: true });
  const exit = await waited;
  t.is(exit.exitStatus, 137);
  t.like(await call("state", { id: "pod" }), {
    status: Status.STOPPED,
    exitStatus: 137,
    exitedAt: exit.exitedAt,
  });
  t.deepEqual((await call("pids", { id: "pod" })).processes, []);
  t.like(await call("wait", { id: "pod" }), exit);
  t.like(await call("delete", { id: "pod" }), { pid: 4242, exitStatus: 137, exitedAt: exit.exitedAt });
  t.deepEqual(events, ["create", "start", "exit", "delete"]);
  t.deepEqual(calls, ["create", "start", "stop", "close"]);
  t.like(exitFile.read(directory), { pid: 4242, status: 137 });
  await t.throwsAsync(call("state", { id: "pod" }), refused(Code.NOT_FOUND));
  await call("shutdown", { id: "pod" });
  await shutdown;
});

test("while Create hangs, everything else answers at once; a retried Create is refused", async (t) => {
  const { call, create, created } = await shim(t);
  const creating = create();
  t.like(await call("connect", { id: "pod" }), { shimPid: process.pid, taskPid: 0 });
  t.like(await call("state", { id: "pod" }), { status: Status.CREATED, pid: 0 });
  t.deepEqual(await call("pids", { id: "pod" }), { processes: [] });
  await t.throwsAsync(
    call("start", { id: "pod" }),
    refused(Code.FAILED_PRECONDITION, /cannot start sandbox pod: it is creating/),
  );
  await t.throwsAsync(create(), refused(Code.ALREADY_EXISTS, /cannot create container pod: it is creating/));
  created.resolve();
  await creating;
  await t.throwsAsync(create(), refused(Code.ALREADY_EXISTS));
});

test("Kill while creating ends the create", async (t) => {
  const { call, create, events, calls } = await shim(t);
  const creating = create();
  await call("connect", { id: "" });
  await call("kill", { id: "pod", signal: 15 });
  await t.throwsAsync(creating, refused(Code.CANCELLED, /told to stop while it was starting/));
  await t.throwsAsync(call("state", { id: "pod" }), refused(Code.NOT_FOUND));
  t.deepEqual(events, []);
  t.deepEqual(calls, ["create", "close"]);
});

test("a Create that is retried while the one that was given up is undone comes about after it", async (t) => {
  const { call, create, created, pod, calls } = await shim(t);
  const undone = Promise.withResolvers<void>();
  pod.closed = undone.promise;
  const first = create();
  await call("connect", { id: "" });
  await call("kill", { id: "pod", signal: 9 });
  const again = create();
  t.like(await call("state", { id: "pod" }), { pid: 0 });
  created.resolve();
  undone.resolve();
  await t.throwsAsync(first, refused(Code.CANCELLED));
  t.is((await again).pid, 4242);
  t.deepEqual(calls, ["create", "close", "create"]);
});

test("Delete and Shutdown of a create that its caller gave up", async (t) => {
  const { call, directory, shutdown, tasks, calls } = await shim(t);
  await t.throwsAsync(call("create", { id: "pod", bundle: directory }, 50), refused(Code.DEADLINE_EXCEEDED));
  await t.throwsAsync(call("delete", { id: "pod" }), refused(Code.NOT_FOUND));
  t.false(tasks.occupied);
  await call("shutdown", { id: "pod" });
  await shutdown;
  t.deepEqual(calls, ["create", "close"]);
});

test("a lost connection ends the create it carried", async (t) => {
  const { create, client, tasks, calls } = await shim(t);
  const creating = create();
  await new Promise((resolve) => setTimeout(resolve, 50));
  client.close();
  await t.throwsAsync(creating, refused(Code.UNAVAILABLE));
  while (tasks.occupied) await new Promise(setImmediate);
  t.deepEqual(calls, ["create", "close"]);
});

test("a VM that ends by itself: its own status, one exit event", async (t) => {
  const { call, create, created, exited, events } = await shim(t);
  created.resolve();
  await create();
  await call("start", { id: "pod" });
  exited.resolve({ status: 255, reason: "the guest kernel panicked" });
  t.is((await call("wait", { id: "pod" })).exitStatus, 255);
  await t.throwsAsync(call("kill", { id: "pod", signal: 9 }), refused(Code.NOT_FOUND, /it is stopped/));
  await t.throwsAsync(call("kill", { id: "pod", signal: 10 }), refused(Code.NOT_FOUND));
  await t.throwsAsync(call("start", { id: "pod" }), refused(Code.FAILED_PRECONDITION));
  t.deepEqual(events, ["create", "start", "exit"]);
});

test("the status is that of the first signal; SIGKILL after SIGTERM tries again", async (t) => {
  const { call, create, created, pod, calls } = await shim(t);
  created.resolve();
  pod.stopEndsIt = false;
  await create();
  await call("start", { id: "pod" });
  await call("kill", { id: "pod", signal: 15 });
  await call("kill", { id: "pod", signal: 15 });
  await t.throwsAsync(call("delete", { id: "pod" }), refused(Code.FAILED_PRECONDITION, /it is stopping/));
  pod.stopEndsIt = true;
  await call("kill", { id: "pod", signal: 9 });
  t.is((await call("wait", { id: "pod" })).exitStatus, 143);
  t.deepEqual(calls.filter((name) => name === "stop").length, 2);
});

test("signals that end nothing are taken and ignored", async (t) => {
  const { call, create, created, calls } = await shim(t);
  created.resolve();
  await create();
  await call("start", { id: "pod" });
  for (const signal of [0, 10, 12, 17, 28]) await call("kill", { id: "pod", signal });
  t.like(await call("state", { id: "pod" }), { status: Status.RUNNING });
  t.deepEqual(calls, ["create", "start"]);
});

test("a running sandbox is not deleted, one that never ran is", async (t) => {
  const running = await shim(t);
  running.created.resolve();
  await running.create();
  await running.call("start", { id: "pod" });
  await t.throwsAsync(
    running.call("delete", { id: "pod" }),
    refused(Code.FAILED_PRECONDITION, /it is running; stop it first/),
  );
  const created = await shim(t);
  created.created.resolve();
  await created.create();
  t.is((await created.call("delete", { id: "pod" })).exitStatus, 137);
  t.deepEqual(created.events, ["create", "exit", "delete"]);
});

test("clean-up that fails is tried again with the next Delete", async (t) => {
  const { call, create, created, pod, calls } = await shim(t);
  created.resolve();
  pod.failClose = 2;
  await create();
  await call("kill", { id: "pod", signal: 9 });
  await call("wait", { id: "pod" });
  await t.throwsAsync(call("delete", { id: "pod" }), { message: /busy/ });
  t.is((await call("delete", { id: "pod" })).exitStatus, 137);
  t.deepEqual(calls.filter((name) => name === "close").length, 3);
});

test("Shutdown keeps a shim that still has a sandbox", async (t) => {
  const { call, create, created, tasks } = await shim(t);
  created.resolve();
  await create();
  await call("shutdown", { id: "pod" });
  t.true(tasks.occupied);
  t.like(await call("state", { id: "pod" }), { status: Status.CREATED });
});

test("what is not there says so, by name", async (t) => {
  const { call, create, created, directory } = await shim(t);
  const verbs = ["state", "start", "kill", "wait", "delete", "pids", "stats", "pause", "resume"] as const;
  for (const verb of [...verbs, "checkpoint", "resizePty", "closeIO"] as const) {
    await t.throwsAsync(call(verb, { id: "other" }), refused(Code.NOT_FOUND, /container other/));
  }
  created.resolve();
  await create();
  for (const verb of ["state", "start", "kill", "wait", "delete"] as const) {
    await t.throwsAsync(call(verb, { id: "pod", execId: "e" }), refused(Code.NOT_FOUND, /exec e/));
  }
  await t.throwsAsync(call("create", { id: "web", bundle: directory }), refused(Code.ALREADY_EXISTS));
});

test("the sandbox itself has no processes to run, pause or limit", async (t) => {
  const { call, create, created } = await shim(t);
  created.resolve();
  await create();
  await call("start", { id: "pod" });
  const spec = {
    typeUrl: "types.containerd.io/opencontainers/runtime-spec/1/Process",
    value: Buffer.from("{}"),
  };
  const type = "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources";
  const resources = { typeUrl: type, value: Buffer.from("{}") };
  const itself = refused(Code.FAILED_PRECONDITION, /sandbox itself.*use a container of the pod/);
  await t.throwsAsync(call("exec", { id: "pod", execId: "e", spec }), itself);
  await t.throwsAsync(call("pause", { id: "pod" }), itself);
  await t.throwsAsync(call("update", { id: "pod", resources }), itself);
  await t.throwsAsync(call("update", { id: "pod" }), refused(Code.INVALID_ARGUMENT, /was given nothing/));
  await t.throwsAsync(
    call("checkpoint", { id: "pod" }),
    refused(Code.UNIMPLEMENTED, /cannot be checkpointed/),
  );
  await t.throwsAsync(
    call("kill", { id: "pod", signal: 65 }),
    refused(Code.INVALID_ARGUMENT, /no signal 65/),
  );
});

test("a bad bundle refuses Create and leaves the shim empty", async (t) => {
  const { call, create, tasks, calls } = await shim(t, { linux: "x" });
  await t.throwsAsync(create(), refused(Code.INVALID_ARGUMENT, /linux is not an object/));
  await t.throwsAsync(
    call("create", { id: "pod", bundle: "/nonexistent" }),
    refused(Code.NOT_FOUND, /config\.json/),
  );
  t.false(tasks.occupied);
  t.deepEqual(calls, []);
});

test("the configuration's path comes from the runtime options, if they are ours", async (t) => {
  const { call, created, directory, contexts } = await shim(t);
  created.resolve();
  const value = Buffer.from(Options.encode(Options.fromPartial({ configPath: "/etc/x.toml" })).finish());
  const options = { typeUrl: "type.googleapis.com/runtimeoptions.v1.Options", value };
  await call("create", { id: "pod", bundle: directory, options });
  t.like(contexts[0], { configPath: "/etc/x.toml", calledAtMs: 5 });
  const other = await shim(t);
  other.created.resolve();
  await other.call("create", {
    id: "pod",
    bundle: other.directory,
    options: { typeUrl: "containerd.runc.v1.Options", value: Buffer.from("ff", "hex") },
  });
  t.like(other.contexts[0], { configPath: "" });
});

test("a request that is no protobuf is the caller's fault", async (t) => {
  const { client } = await shim(t);
  const call = client.call("containerd.task.v2.Task", "State", Buffer.from("0aff", "hex"), {
    timeoutMs: 1000,
  });
  await t.throwsAsync(call, refused(Code.INVALID_ARGUMENT, /cannot decode State request/));
});
