// Requires root. The shim's commands as containerd runs them, without a containerd.
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import test from "ava";
import { BootstrapParams, BootstrapResult } from "../../proto/gen/containerd/runtime/bootstrap.ts";
import {
  DeleteRequest,
  KillRequest,
  ShutdownRequest,
  WaitRequest,
} from "../../proto/gen/containerd/task/task.ts";
import { RuntimeInfo } from "../../proto/gen/containerd/types/types.ts";
import { connect } from "../../shim/ttrpc/client.ts";
import { deadlineIn } from "../../sys/deadline.ts";
import { identify, isAlive } from "../../sys/identity.ts";
import { waitForExit } from "../../sys/process.ts";
import { command } from "./command.ts";
import { netns, useShimCommands } from "./commands.ts";

const commands = useShimCommands(test);
const { directory, makeBundle, run: shim, start, create, remove } = commands;

test("the operator's command says which version it is of", async (t) => {
  const tapir = join(dirname(commands.program()), "tapir");
  const { stdout } = await command({ program: tapir, args: ["--version"], cwd: directory });
  t.regex(stdout.toString(), /^\d+\.\d+\.\d+\n$/);
});

test("-v and -info", async (t) => {
  t.regex(
    (await command({ program: commands.program(), args: ["-v"], cwd: directory })).stdout.toString(),
    /Version: +\d+\.\d+/,
  );
  const { stdout, stderr } = await command({ program: commands.program(), args: ["-info"], cwd: directory });
  t.like(RuntimeInfo.decode(stdout), { name: "io.containerd.tapir.v2" });
  t.is(stderr, "");
});

test("start answers with an address only, in a session of its own, with nothing of containerd's", async (t) => {
  const bundle = makeBundle("alone");
  const { stdout, stderr, exitCode } = await shim(bundle, "-id alone -debug start", {
    env: { NODE_EXTRA_CA_CERTS: "/nonexistent", NODE_DEBUG: "nothing" },
  });
  t.is(exitCode, 0);
  t.is(stderr, "");
  t.like(JSON.parse(stdout.toString()), { version: 2, protocol: "ttrpc" });
  t.is(readFileSync(join(bundle, "address"), "utf8"), JSON.parse(stdout.toString()).address);
  const pid = Number(readFileSync(join(bundle, "shim.pid"), "utf8"));
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  t.regex(status, new RegExp(`^NSsid:\\s+${pid}$`, "m"));
  t.notRegex(readFileSync(`/proc/${pid}/environ`, "utf8"), /\bNODE_/);
  t.is(
    Number(readFileSync(`/proc/${pid}/oom_score_adj`, "utf8")),
    Number(readFileSync("/proc/self/oom_score_adj", "utf8")) + 1,
  );
  await remove({ bundle }, "alone");
});

test("containerd 1.6 gets text, 2.3 protobuf and its own socket directory", async (t) => {
  const old = makeBundle("old");
  const text = await shim(old, "-id old start", { env: { MAX_SHIM_VERSION: undefined } });
  t.regex(text.stdout.toString(), /^unix:\/\/\/.+[0-9a-f]{32}$/);
  const bundle = makeBundle("new");
  const params = { instanceId: "new", namespace: "n", socketDir: join(directory, "short") };
  const input = BootstrapParams.encode(BootstrapParams.fromPartial(params)).finish();
  const { stdout } = await shim(bundle, "-id new start", { input });
  const result = BootstrapResult.decode(stdout);
  t.like(result, { version: 2, protocol: "ttrpc" });
  t.true(result.address.startsWith(`unix://${join(directory, "short")}/`));
  for (const [id, path] of [
    ["old", old],
    ["new", bundle],
  ] as const) {
    await remove({ bundle: path }, id);
  }
  t.deepEqual(readdirSync(join(directory, "short")), []);
});

test("a container joins the shim of its pod; its end leaves the pod alone", async (t) => {
  const pod = await start("pod");
  const annotations = {
    "io.kubernetes.cri.container-type": "container",
    "io.kubernetes.cri.sandbox-id": "pod",
  };
  const bundle = makeBundle("web", { ...netns, annotations });
  const { stdout } = await shim(bundle, "-id web start");
  t.is(JSON.parse(stdout.toString()).address, `unix://${pod.socket}`);
  t.false(existsSync(join(bundle, "shim.pid")));
  t.like((await remove({ ...pod, bundle }, "web")).response, { exitStatus: 137 });
  t.truthy(identify(pod.pid));
  await remove(pod, "pod");
  const late = await shim(bundle, "-id web start");
  t.is(late.exitCode, 1);
  t.regex(
    late.stderr,
    /cannot start container web: the shim of its sandbox pod is not running; remove the pod/,
  );
});

test("a second start of the same sandbox finds the first; a dead one's socket is replaced", async (t) => {
  const first = await start("twice");
  const again = await shim(first.bundle, "-id twice start");
  t.is(JSON.parse(again.stdout.toString()).address, `unix://${first.socket}`);
  t.is(Number(readFileSync(join(first.bundle, "shim.pid"), "utf8")), first.pid);
  const identity = identify(first.pid);
  process.kill(first.pid, "SIGKILL");
  if (identity !== undefined) await waitForExit(identity, deadlineIn(60_000, "wait"));
  t.true(existsSync(first.socket));
  const after = await shim(first.bundle, "-id twice start");
  t.is(JSON.parse(after.stdout.toString()).address, `unix://${first.socket}`);
  t.not(Number(readFileSync(join(first.bundle, "shim.pid"), "utf8")), first.pid);
  await remove(first, "twice");
  t.false(existsSync(first.socket));
});

test("start without a usable bundle says what is wrong and leaves nothing", async (t) => {
  const cases: [string, string, RegExp][] = [
    ["empty", "", /config\.json: there is no such file; a bundle is a directory/],
    ["torn", '{"annotations":', /cannot parse .*config\.json.*OCI runtime spec/],
    ["lost", '{"annotations":{"io.kubernetes.cri.container-type":"container"}}', /sandbox-id is missing/],
  ];
  for (const [name, config, message] of cases) {
    const { exitCode, stdout, stderr } = await shim(makeBundle(name, config), `-id ${name} start`);
    t.is(exitCode, 1);
    t.is(stdout.length, 0);
    t.regex(stderr, message);
    t.regex(stderr, /^tapir: [^\n]+\n$/);
  }
  const long = join(directory, "x".repeat(90));
  const { stderr } = await shim(makeBundle("long"), "-id long start", { env: { TAPIR_SOCKET_DIR: long } });
  t.regex(stderr, /choose a shorter TAPIR_SOCKET_DIR/);
  t.regex(
    (await shim(directory, "-id ../x start")).stderr,
    /flag -id: "\.\.\/x" is no containerd identifier/,
  );
});

test("delete after a kill -9: the ledger is replayed, the VM and the socket are gone", async (t) => {
  const killed = await start("killed");
  await create(killed, "killed");
  const vm = identify(Number(readFileSync(join(killed.bundle, "init.pid"), "utf8")));
  process.kill(killed.pid, "SIGKILL");
  const { response, stderr, exitCode } = await remove(killed, "killed");
  t.is(exitCode, 0);
  t.is(stderr, "");
  t.like(response, { pid: vm?.pid, exitStatus: 137 });
  t.true(Math.abs((response.exitedAt?.getTime() ?? 0) - Date.now()) < 10_000);
  t.false(vm !== undefined && isAlive(vm));
  t.false(existsSync(killed.socket));
  t.deepEqual(
    readdirSync(join(directory, "state/n")).filter((name) => name === "killed"),
    [],
  );
  t.is((await remove(killed, "killed")).exitCode, 0);
});

test("when Shutdown is answered, so is the delete that may follow at once", async (t) => {
  const shimOf = await start("shutdown");
  await create(shimOf, "shutdown");
  const client = await connect(shimOf.socket, 1000);
  const call = (method: string, request: Uint8Array) =>
    client.call("containerd.task.v3.Task", method, request, { timeoutMs: 10_000 });
  const id = "shutdown";
  await call("Kill", KillRequest.encode(KillRequest.fromPartial({ id, signal: 9 })).finish());
  await call("Wait", WaitRequest.encode(WaitRequest.fromPartial({ id })).finish());
  await call("Delete", DeleteRequest.encode(DeleteRequest.fromPartial({ id })).finish());
  await call("Shutdown", ShutdownRequest.encode(ShutdownRequest.fromPartial({ id })).finish());
  t.true(existsSync(join(shimOf.bundle, "deleted")));
  t.like((await remove(shimOf, id)).response, { exitStatus: 137 });
  client.close();
  // Its events, which nobody takes, would hold it for seconds.
  process.kill(shimOf.pid, "SIGKILL");
  rmSync(shimOf.socket, { force: true });
});

test("delete ends a shim that lives, also one that hangs, in time", async (t) => {
  for (const name of ["living", "hanging"]) {
    const shimOf = await start(name);
    await create(shimOf, name);
    const vm = identify(Number(readFileSync(join(shimOf.bundle, "init.pid"), "utf8")));
    const identity = identify(shimOf.pid);
    if (name === "hanging") process.kill(shimOf.pid, "SIGSTOP");
    const started = performance.now();
    const { exitCode, response } = await remove(shimOf, name);
    t.true(performance.now() - started < 20_000);
    t.is(exitCode, 0);
    t.like(response, { pid: vm?.pid, exitStatus: 137 });
    t.false(identity !== undefined && isAlive(identity));
    t.false(vm !== undefined && isAlive(vm));
    t.false(existsSync(shimOf.socket));
  }
});

test("delete in a bundle that never came to life", async (t) => {
  for (const config of ["", "{", JSON.stringify(netns)]) {
    const bundle = makeBundle(`never-${config.length}`, config);
    const { exitCode, response, stderr } = await remove({ bundle }, "never");
    t.is(exitCode, 0);
    t.is(stderr, "");
    t.like(response, { pid: 0, exitStatus: 137 });
  }
});

test("a shim that nobody needs ends by SIGTERM and takes its socket with it", async (t) => {
  const shimOf = await start("term");
  await create(shimOf, "term");
  const identity = identify(shimOf.pid);
  process.kill(shimOf.pid, "SIGTERM");
  if (identity !== undefined) await waitForExit(identity, deadlineIn(60_000, "wait"));
  t.false(existsSync(shimOf.socket));
  t.false(existsSync(join(directory, "state/n/term")));
  t.like((await remove(shimOf, "term")).response, { exitStatus: 137 });
});
