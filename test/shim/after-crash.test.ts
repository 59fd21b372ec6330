// Requires root. What containerd's rules ask of a shim and its `delete` when something came between; without a containerd.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import test, { type ExecutionContext } from "ava";
import { ConnectRequest, ConnectResponse } from "../../proto/gen/containerd/task/task.ts";
import { shimIdentityFile } from "../../shim/bundle-files.ts";
import { deadlineIn } from "../../sys/deadline.ts";
import { errnoOf } from "../../sys/error.ts";
import { identify, isAlive, type ProcessIdentity } from "../../sys/identity.ts";
import { PROCESS_TOKEN, waitForExit } from "../../sys/process.ts";
import { createRequest, netns, type Started, useShimCommands } from "./commands.ts";

const SERVICE = "containerd.task.v3.Task";
const { start, startIn, create, connect, remove, stateOf, makeBundle } = useShimCommands(test);
const soon = () => deadlineIn(10_000, "finish the case");

/** A process that is none of the shim's. */
async function stranger(t: ExecutionContext): Promise<ProcessIdentity> {
  const child = spawn("sleep", ["1000"], { stdio: "ignore", env: { [PROCESS_TOKEN]: "a-stranger" } });
  t.teardown(() => child.kill("SIGKILL"));
  await once(child, "spawn");
  const identity = identify(child.pid ?? 0);
  if (identity === undefined) throw new Error("sleep is gone");
  return identity;
}

function vmOf({ bundle }: Started): ProcessIdentity | undefined {
  return identify(Number(readFileSync(join(bundle, "init.pid"), "utf8")));
}

async function killShim({ pid }: Started): Promise<void> {
  const identity = identify(pid);
  process.kill(pid, "SIGKILL");
  if (identity !== undefined) await waitForExit(identity, soon());
}

test("delete leaves alone who has the pid of the shim, of the VM or of a ledger's process now", async (t) => {
  const dead = await start("reused");
  await create(dead, "reused");
  const vm = vmOf(dead);
  await killShim(dead);
  const other = await stranger(t);
  const old = { pid: other.pid, startTime: "1" };
  shimIdentityFile.write(dead.bundle, old);
  for (const file of ["shim.pid", "init.pid"]) writeFileSync(join(dead.bundle, file), String(other.pid));
  const entry = { id: 99, step: "fake.other", undo: { kind: "process", token: "not-the-strangers", ...old } };
  appendFileSync(join(stateOf("reused"), "ledger"), `${JSON.stringify(entry)}\n`);
  const { exitCode, stderr } = await remove(dead, "reused");
  t.is(stderr, "");
  t.is(exitCode, 0);
  t.true(isAlive(other), "the stranger lives");
  t.false(vm !== undefined && isAlive(vm));
  t.false(existsSync(stateOf("reused")));
});

test("delete removes the directory of a shim that was killed before its ledger was there, or after it was gone", async (t) => {
  const dead = await start("no-ledger");
  await killShim(dead);
  mkdirSync(join(stateOf("no-ledger"), "points"), { recursive: true });
  writeFileSync(join(dead.bundle, "state-directory"), stateOf("no-ledger"));
  t.is((await remove(dead, "no-ledger")).exitCode, 0);
  t.false(existsSync(stateOf("no-ledger")));

  const other = await start("not-its-own");
  await killShim(other);
  mkdirSync(stateOf("somebody"), { recursive: true });
  writeFileSync(join(other.bundle, "state-directory"), stateOf("somebody"));
  t.is((await remove(other, "not-its-own")).exitCode, 0);
  t.true(existsSync(stateOf("somebody")));
});

test("delete of a half-written state undoes what was written whole", async (t) => {
  const torn: Record<string, (shim: Started, ledger: string) => void> = {
    "ledger-torn": (_, ledger) => appendFileSync(ledger, '{"id":7,"step":"fake.ne'),
    "ledger-garbage": (_, ledger) => appendFileSync(ledger, 'null\n[]\n\0\0\0\n{"id":7}\n"x"\n'),
    "identity-torn": ({ bundle }) => writeFileSync(join(bundle, "shim.identity"), '{"pid":1'),
    "exit-torn": ({ bundle }) => writeFileSync(join(bundle, "init.exit"), '{"pid":4'),
    "pid-empty": ({ bundle }) => writeFileSync(join(bundle, "init.pid"), ""),
    "pid-garbage": ({ bundle }) => writeFileSync(join(bundle, "init.pid"), "-3 x"),
    "spec-gone": ({ bundle }) => rmSync(join(bundle, "config.json")),
  };
  for (const [name, tear] of Object.entries(torn)) {
    const dead = await start(name);
    await create(dead, name);
    const vm = vmOf(dead);
    await killShim(dead);
    tear(dead, join(stateOf(name), "ledger"));
    const { exitCode, stderr, response } = await remove(dead, name);
    t.is(stderr, "", name);
    t.is(exitCode, 0, name);
    t.is(response.exitStatus, 137, name);
    t.false(vm !== undefined && isAlive(vm), name);
    t.false(existsSync(stateOf(name)), name);
    t.false(existsSync(dead.socket), name);
  }
});

test("after a Create whose caller was lost, the same Create comes about, with one VM", async (t) => {
  const hanging = { ...netns, annotations: { "io.tapir.fake.create": "hang" } };
  const shim = await start("retried", hanging);
  const lost = await connect(shim);
  const first = lost.call(SERVICE, "Create", createRequest("retried", shim.bundle), { timeoutMs: 10_000 });
  while (!existsSync(stateOf("retried"))) await setTimeout(10);
  const again = create(shim, "retried");
  await t.throwsAsync(again, { message: /it is creating/ }, "while the first is under way");
  lost.close();
  await t.throwsAsync(first);
  while (existsSync(stateOf("retried"))) await setTimeout(10);
  writeFileSync(join(shim.bundle, "config.json"), JSON.stringify(netns));
  await create(shim, "retried");
  await t.throwsAsync(create(shim, "retried"), { message: /cannot create container retried/ });
  const lines = readFileSync(join(stateOf("retried"), "ledger"), "utf8").match(/"fake.vm"/g);
  // Announced, and amended with its pid.
  t.is(lines?.length, 2);
  t.true(vmOf(shim) !== undefined);
  t.is((await remove(shim, "retried")).exitCode, 0);
});

test("a log fifo without a reader, or with one that does not read, does not hold the shim", async (t) => {
  for (const reader of ["none", "sleeping"]) {
    const id = `log-${reader}`;
    const bundle = makeBundle(id);
    const fifo = join(bundle, "log");
    execFileSync("mkfifo", [fifo]);
    const end = reader === "none" ? undefined : openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK);
    if (end !== undefined) fill(end);
    const shim = await startIn(bundle, id);
    await create(shim, id);
    const client = await connect(shim);
    const request = ConnectRequest.encode(ConnectRequest.fromPartial({ id })).finish();
    const answer = await client.call(SERVICE, "Connect", request, { timeoutMs: 5_000 });
    t.is(ConnectResponse.decode(answer).shimPid, shim.pid);
    client.close();
    t.is((await remove(shim, id)).exitCode, 0);
    if (end !== undefined) closeSync(end);
  }
});

/** Until the pipe has no room for one byte more. */
function fill(pipe: number): void {
  for (const size of [4096, 1]) {
    const text = "x".repeat(size);
    try {
      for (;;) writeSync(pipe, text);
    } catch (error) {
      if (errnoOf(error) !== "EAGAIN") throw error;
    }
  }
}
