/** Requires qemu-system-x86_64. The guests are a few instructions long: no guest image, no root. */
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { createConnection } from "node:net";
import { join } from "node:path";
import test from "ava";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import { codeOf } from "../../sys/error.ts";
import { readLedger, replayLedger } from "../../sys/ledger.ts";
import { check, libc } from "../../sys/libc.ts";
import { findByToken, identify, isAlive, waitForExit } from "../../sys/process.ts";
import { Code } from "../../sys/status.ts";
import { prepareVm as prepare } from "../../test/fakes/vm.ts";
import { qmpFailureOf } from "../qmp/failure.ts";
import { launch } from "./launch.ts";
import { createQemu } from "./qemu.ts";

const _QEMU = "/usr/bin/qemu-system-x86_64";
const soon = (): Deadline => deadlineIn(20_000, "test");

test("starts, is heard, answers, stops, and leaves nothing", async (t) => {
  const { spec, ledger } = prepare(t, { says: "hello\r\n", ends: "halt" });
  const startedAt = performance.now();
  const vm = await createQemu().start(spec, ledger, soon());
  const readyMs = performance.now() - startedAt;
  const identity = identify(vm.pid);
  t.truthy(identity);
  t.like(readLedger(ledger.directory)[0], {
    step: "hypervisor.spawn",
    undo: { kind: "process", ...identity },
  });
  t.deepEqual(await vm.qmp.execute("query-status", undefined, soon()), {
    status: "running",
    singlestep: false,
    running: true,
  } as never);
  const agent = createConnection(vm.agentSocket);
  await new Promise((resolve, reject) => agent.once("connect", resolve).once("error", reject));
  agent.destroy();
  while (!vm.consoleTail().includes("hello")) await new Promise((resolve) => setTimeout(resolve, 10));
  const stoppedAt = performance.now();
  await Promise.all([vm.stop(soon()), vm.stop(soon())]);
  t.log(`ready ${readyMs.toFixed(0)} ms, stopped ${(performance.now() - stoppedAt).toFixed(0)} ms`);
  await vm.stop(soon());
  t.deepEqual(await vm.exited, { code: 0, signal: undefined, stderrTail: "", guestPanicked: false });
  t.is(identify(vm.pid), undefined);
  await ledger.unwind();
  t.false(existsSync(ledger.directory));
});

test("QEMU takes descriptors by getfd, each command its own, and refuses in its words", async (t) => {
  const { spec, ledger } = prepare(t);
  const { qmp, pid } = await createQemu().start(spec, ledger, soon());
  const count = (): number => readdirSync(`/proc/${pid}/fd`).length;
  const before = count();
  const file = openSync("/dev/null", "r");
  t.teardown(() => closeSync(file));
  const names = Array.from({ length: 10 }, (_, index) => `fd${index}`);
  await Promise.all(names.map((fdname) => qmp.execute("getfd", { fdname }, soon(), [file])));
  t.is(count(), before + names.length);
  await Promise.all(names.map((fdname) => qmp.execute("closefd", { fdname }, soon())));
  t.is(count(), before);
  const none = await t.throwsAsync(qmp.execute("getfd", { fdname: "a" }, soon()));
  t.regex(none.message, /No file descriptor supplied via SCM_RIGHTS/);
  const unknown = await t.throwsAsync(qmp.execute("device_del", { id: "zz" }, soon()));
  t.like(qmpFailureOf(unknown), { errorClass: "DeviceNotFound", command: "device_del" });
});

test("runs without privileges to gain, in a session of its own, with nothing but its token in the environment", async (t) => {
  const { spec, ledger } = prepare(t);
  const vm = await createQemu().start(spec, ledger, soon());
  for (const thread of readdirSync(`/proc/${vm.pid}/task`)) {
    const status = readFileSync(`/proc/${vm.pid}/task/${thread}/status`, "utf8");
    t.regex(status, /^NoNewPrivs:\t1$/m);
    t.regex(status, /^Seccomp:\t2$/m);
  }
  t.regex(readFileSync(`/proc/${vm.pid}/environ`, "utf8"), /^TAPIR_PROCESS_TOKEN=[0-9a-f-]{36}\0$/);
  const stat = readFileSync(`/proc/${vm.pid}/stat`, "utf8").split(") ")[1]?.split(" ");
  t.is(Number(stat?.[3]), vm.pid, "leader of its session");
});

test("a descriptor that somebody left open in this process does not get into QEMU", async (t) => {
  const { spec, ledger } = prepare(t);
  // Without close-on-exec, as whoever starts containerd may leave one.
  const left = check(libc.memfd_create("left-open", 0), "create", "a file");
  t.teardown(() => closeSync(left));
  const vm = await createQemu().start(spec, ledger, soon());
  const targets = readdirSync(`/proc/${vm.pid}/fd`).map((fd) => readlinkSync(`/proc/${vm.pid}/fd/${fd}`));
  t.true(targets.length > 3);
  t.deepEqual(
    targets.filter((target) => target.includes("left-open") || target.startsWith("pipe:")),
    [],
  );
});

test("a VMM that says a megabyte on stderr is not held up, and its last words are kept", async (t) => {
  const script = 'head -c 1048576 /dev/zero | tr "\\0" x >&2; echo the end >&2; exit 7';
  const { exited, stderr } = await launch("/bin/sh", ["-c", script], [], randomUUID());
  t.teardown(stderr.close);
  const { code, stderrTail } = await soon().race(exited);
  t.is(code, 7);
  t.regex(stderrTail, /x{100}the end\n?$/);
  t.true(stderrTail.length < 16 << 10, `${stderrTail.length}`);
});

test("the death of QEMU is noticed, and whoever waits learns the signal", async (t) => {
  const { spec, ledger } = prepare(t);
  const vm = await createQemu().start(spec, ledger, soon());
  const waiting = vm.qmp.executeAndAwait("query-status", undefined, () => undefined, soon());
  process.kill(vm.pid, "SIGKILL");
  t.like(await vm.exited, { code: undefined, signal: "SIGKILL" });
  const error = await t.throwsAsync(waiting);
  t.regex(error.message, /QEMU of test: it was killed by SIGKILL$/);
  await vm.stop(soon());
  await t.throwsAsync(vm.qmp.execute("quit", undefined, soon()), { message: /SIGKILL/ });
});

test("a QEMU that exits at once is an error with its code and words, at once", async (t) => {
  const { spec, ledger } = prepare(t);
  writeFileSync(spec.kernel, "this is no kernel, however long it may be. ".repeat(100));
  const limit = soon();
  const error = await t.throwsAsync(createQemu().start(spec, ledger, limit));
  t.true(limit.remainingMs() > 0, "its end is noticed");
  t.regex(error.message, /^cannot start VM test: .*it exited with code 1: .*linux kernel too old/);
  t.deepEqual(
    readLedger(ledger.directory).map(({ step }) => step),
    ["hypervisor.socket", "hypervisor.console"],
  );
});

test("a binary that cannot be executed is an error that names it", async (t) => {
  const { spec, ledger } = prepare(t);
  const qemu = join(ledger.directory, "qemu");
  writeFileSync(qemu, "\u007fELF nonsense", { mode: 0o755 });
  const error = await t.throwsAsync(createQemu().start({ ...spec, qemu }, ledger, soon()));
  t.regex(error.message, /^cannot start VM test: .*(Exec format error|exited with code)/);
});

for (const key of ["qemu", "kernel", "initramfs", "image"] as const) {
  test(`a missing ${key} is found before anything is started`, async (t) => {
    const { spec, ledger } = prepare(t);
    const error = await t.throwsAsync(
      createQemu().start({ ...spec, [key]: "/nowhere/file" }, ledger, soon()),
    );
    t.is(codeOf(error), Code.NOT_FOUND);
    t.regex(error.message, /\/nowhere\/file: .*; set hypervisor\.qemu\.\w+ in the configuration$/);
    t.deepEqual(readLedger(ledger.directory), []);
  });
}

test("an image of a size that cannot be mapped and a socket path that is too long are refused", async (t) => {
  const { spec, ledger } = prepare(t);
  truncateSync(spec.image, 4096);
  await t.throwsAsync(createQemu().start(spec, ledger, soon()), { message: /not a multiple of 2 MiB/ });
  truncateSync(spec.image, 4 * 1024 * 1024);
  const directory = `/tmp/${"x".repeat(100)}`;
  await t.throwsAsync(createQemu().start({ ...spec, directory }, ledger, soon()), {
    message: /a unix socket may have 107; set a shorter runtime\.state_dir/,
  });
});

test("a guest that resets itself ends the VM; a panic on the console is named", async (t) => {
  const quiet = prepare(t, { says: "bye\r\n", ends: "reset" });
  const vm = await createQemu().start(quiet.spec, quiet.ledger, soon());
  t.deepEqual(await vm.exited, { code: 0, signal: undefined, stderrTail: "", guestPanicked: false });
  const panicking = prepare(t, { says: "Kernel panic - not syncing: test\r\n", ends: "reset" });
  const other = await createQemu().start(panicking.spec, panicking.ledger, soon());
  t.like(await other.exited, { code: 0, guestPanicked: true });
  t.regex(other.consoleTail(), /Kernel panic/);
});

test("a guest that writes for ever fills no disk", async (t) => {
  const { spec, ledger } = prepare(t, { says: "x".repeat(200), repeat: "forever", ends: "halt" });
  const vm = await createQemu().start(spec, ledger, soon());
  while (vm.consoleTail().length <= 1000) await new Promise((resolve) => setTimeout(resolve, 10));
  await new Promise((resolve) => setTimeout(resolve, 1500));
  t.true(vm.consoleTail().length <= 16 * 1024);
  t.true(statSync(join(spec.directory, "console.log")).size <= 1024 * 1024);
  await vm.stop(soon());
});

test("a QEMU that does not answer is killed at the deadline", async (t) => {
  const { spec, ledger } = prepare(t);
  const vm = await createQemu().start(spec, ledger, soon());
  process.kill(vm.pid, "SIGSTOP");
  await vm.stop(deadlineIn(200, "stop"));
  t.like(await vm.exited, { signal: "SIGKILL" });
});

test("the spec says how long a QEMU that does not answer may take to end", async (t) => {
  const { spec, ledger } = prepare(t);
  const vm = await createQemu().start({ ...spec, quitMs: 100 }, ledger, soon());
  process.kill(vm.pid, "SIGSTOP");
  const limit = soon();
  const before = limit.remainingMs();
  await vm.stop(limit);
  t.true(before - limit.remainingMs() < 2000, "less than where the spec says nothing");
  t.like(await vm.exited, { signal: "SIGKILL" });
});

test("a start that is out of time leaves no process", async (t) => {
  const { spec, ledger } = prepare(t);
  const error = await t.throwsAsync(createQemu().start(spec, ledger, deadlineIn(5, "start the pod")));
  t.is(codeOf(error), Code.DEADLINE_EXCEEDED);
  t.false(readLedger(ledger.directory).some(({ step }) => step === "hypervisor.spawn"));
});

test("what the ledger announced is found by its token, pid unknown", async (t) => {
  const { spec, ledger } = prepare(t);
  const token = crypto.randomUUID();
  const acquired = await ledger.acquire("hypervisor.spawn", { kind: "process", token }, () =>
    launch(spec.qemu, ["-nodefaults", "-display", "none", "-S"], [], token),
  );
  t.is(findByToken(token).length, 1);
  t.deepEqual((await replayLedger(ledger.directory)).undone, ["hypervisor.spawn"]);
  t.deepEqual(findByToken(token), []);
  t.like(await acquired.value.exited, { signal: "SIGKILL" });
});

test("QEMU dies with the process that started it, and the ledger's replay finds nothing left", async (t) => {
  const { spec } = prepare(t);
  const shim = `
    const { createQemu } = await import(${JSON.stringify(join(import.meta.dirname, "qemu.ts"))});
    const { openLedger } = await import(${JSON.stringify(join(import.meta.dirname, "../../sys/ledger.ts"))});
    const { deadlineIn } = await import(${JSON.stringify(join(import.meta.dirname, "../../sys/deadline.ts"))});
    const spec = ${JSON.stringify(spec)};
    const vm = await createQemu().start(spec, openLedger(spec.directory), deadlineIn(20_000, "start"));
    process.stdout.write(String(vm.pid));
  `;
  const parent = spawn(process.execPath, ["--input-type=module", "-e", shim], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [pid] = (await parent.stdout.take(1).toArray()) as [Buffer];
  const qemu = identify(Number(pid.toString()));
  if (qemu === undefined) return t.fail("no QEMU");
  parent.kill("SIGKILL");
  await waitForExit(qemu, soon());
  t.false(isAlive(qemu));
  t.true(existsSync(join(spec.directory, "agent.sock")));
  const { failures } = await replayLedger(spec.directory);
  t.deepEqual(failures, []);
  t.false(existsSync(spec.directory));
});
