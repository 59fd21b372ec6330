// Requires root.
// Both sides of a hand-over on a real socket; `sleep` plays QEMU, a fake monitor answers for it.
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { type Deadline, deadlineIn } from "../../../sys/deadline.ts";
import { codeOf } from "../../../sys/error.ts";
import { closeAll, socketOf, socketPair } from "../../../sys/fdpass.ts";
import { openLedger, readLedger } from "../../../sys/ledger.ts";
import { identify, isAlive } from "../../../sys/process.ts";
import { becomesReadable } from "../../../sys/readable.ts";
import { Code } from "../../../sys/status.ts";
import { acceptUnix, duplicate, listenUnix } from "../../../sys/unix-socket.ts";
import { fakeQmp } from "../../../test/fakes/qmp.ts";
import type { VmPlan } from "../../hypervisor.ts";
import { askCache } from "./ask.ts";
import type { Clone } from "./clone.ts";
import { type CloneSource, handOver } from "./hand-over.ts";
import { cacheKey } from "./key.ts";
import type { CacheState } from "./message.ts";
import { takeClone } from "./take.ts";

const soon = (): Deadline => deadlineIn(60_000, "test a hand-over");
let place: string;
const standIns: (() => void)[] = [];

test.before(() => {
  place = mkdtempSync(join(tmpdir(), "tapir-hand-over-"));
});
test.after.always(() => {
  for (const end of standIns) end();
  rmSync(place, { recursive: true, force: true });
});

function planIn(directory: string): VmPlan {
  const file = import.meta.filename;
  return {
    name: "pod",
    directory,
    qemu: file,
    kernel: file,
    initramfs: file,
    image: file,
    imageDriver: "virtio-blk",
    accelerator: "tcg",
    vcpus: 1,
    memoryMiB: 64,
    rootPorts: 1,
    kernelParameters: [],
    firstNic: undefined,
  };
}

/** A process, a monitor and a directory as a server has them; the ledger of the clone is the server's. */
function standIn(name: string) {
  const directory = join(place, ".cache", name);
  mkdirSync(directory, { recursive: true });
  const ledger = openLedger(directory);
  const token = randomUUID();
  const child: ChildProcess = spawn("sleep", ["60"], {
    env: { TAPIR_PROCESS_TOKEN: token },
    stdio: "ignore",
  });
  const identity = identify(child.pid ?? 0);
  if (identity === undefined) throw new Error("sleep did not start");
  writeFileSync(join(directory, "agent.sock"), "the agent's socket");
  const qmp = fakeQmp(({ execute }) => {
    if (execute === "quit") child.kill("SIGKILL");
    return { return: {} };
  });
  standIns.push(() => {
    child.kill("SIGKILL");
    qmp.hangUp();
    qmp.transport.socket.destroy();
  });
  const console = socketPair();
  const stderr = socketPair();
  // QEMU's ends, which go with it.
  child.once("exit", () => closeAll([console.theirs, stderr.theirs]));
  let ceded = false;
  let removals = 0;
  const clone: Clone = {
    directory,
    exited: new Promise(() => undefined),
    offer: () => ({
      clone: { directory, ...identity, token, qemuVersion: "7.2.22", monotonicNanoseconds: "5000000000" },
      descriptors: { monitor: duplicate(qmp.transport.fd), console: console.ours, stderr: stderr.ours },
    }),
    cede: () => {
      ceded = true;
      ledger.cede();
    },
    remove: async () => {
      removals += 1;
      await ledger.unwind();
    },
  };
  return { clone, directory, identity, qmp, ceded: () => ceded, removals: () => removals };
}

const STATE: CacheState = { size: 2, ready: { [`${"0".repeat(32)}-copy`]: 1 }, served: 3, uptimeSeconds: 4 };
const offering = (take: CloneSource["take"]): CloneSource => ({ take, state: () => STATE });

/** Accepts one connection and lets `serve` have it. */
async function serveOnce(path: string, serve: (fd: number) => Promise<unknown>): Promise<unknown> {
  const listener = listenUnix(path);
  try {
    await becomesReadable(listener, soon());
    const fd = acceptUnix(listener);
    return fd === undefined ? undefined : await serve(fd);
  } finally {
    closeAll([listener]);
    rmSync(path);
  }
}

test("a clone changes hands: it is in the shim's ledger, and the server's has forgotten it", async (t) => {
  const { clone, directory, identity, qmp, ceded, removals } = standIn("0000000a");
  const ledger = openLedger(join(place, "taker"));
  const plan = planIn(ledger.directory);
  const socket = join(place, "one.sock");
  const serving = serveOnce(socket, (fd) =>
    handOver(
      { fd, socket: socketOf(fd) },
      offering((key) => (key === cacheKey(plan, "copy") ? clone : undefined)),
      soon(),
    ),
  );
  // The fake's greeting is for whoever starts a QEMU: the server has read it.
  await becomesReadable(qmp.transport.fd, soon());
  qmp.transport.socket.resume();
  while (qmp.transport.socket.bytesRead === 0) await new Promise(setImmediate);
  qmp.transport.socket.pause();
  const vm = await takeClone({ socket, plan, memory: "copy" }, ledger, soon());
  t.is(await serving, "taken");
  t.true(ceded());
  t.is(removals(), 0);
  t.is(vm?.pid, identity.pid);
  t.is(vm?.restored.clock.monotonicNanoseconds, 5_000_000_000n);
  t.deepEqual(
    qmp.commands.map(({ execute }) => execute),
    ["cont"],
  );
  t.false(existsSync(directory));
  t.is(readFileSync(join(ledger.directory, "agent.sock"), "utf8"), "the agent's socket");
  t.deepEqual(
    readLedger(ledger.directory).map(({ undo }) => undo.kind),
    ["process", "file", "file"],
  );
  await ledger.unwind();
  t.false(isAlive(identity));
  await vm?.exited;
});

test("none that fits: the shim is told so and has acquired nothing", async (t) => {
  const ledger = openLedger(join(place, "none"));
  const socket = join(place, "none.sock");
  const serving = serveOnce(socket, (fd) =>
    handOver(
      { fd, socket: socketOf(fd) },
      offering(() => undefined),
      soon(),
    ),
  );
  const plan = planIn(ledger.directory);
  t.is(await takeClone({ socket, plan, memory: "cow" }, ledger, soon()), undefined);
  t.is(await serving, "none");
  t.deepEqual(readLedger(ledger.directory), []);
});

test("no server: said at once", async (t) => {
  const ledger = openLedger(join(place, "nobody"));
  const request = {
    socket: join(place, "nobody.sock"),
    plan: planIn(ledger.directory),
    memory: "copy",
  } as const;
  t.is(codeOf(await t.throwsAsync(takeClone(request, ledger, soon()))), Code.NOT_FOUND);
});

test("a server that hangs up before its last word: the shim ends the clone", async (t) => {
  const { clone, directory, identity } = standIn("0000000b");
  const ledger = openLedger(join(place, "hung"));
  const socket = join(place, "hung.sock");
  const serving = serveOnce(socket, (fd) => {
    const connection = socketOf(fd);
    const noWord = { ...clone, cede: () => connection.destroy() };
    return handOver(
      { fd, socket: connection },
      offering(() => noWord as Clone),
      soon(),
    );
  });
  const request = { socket, plan: planIn(ledger.directory), memory: "copy" } as const;
  await t.throwsAsync(takeClone(request, ledger, soon()), { message: /the other side hung up/ });
  await serving;
  t.false(isAlive(identity));
  t.false(existsSync(directory));
  t.deepEqual(readLedger(ledger.directory), []);
  t.deepEqual(existsSync(join(ledger.directory, "agent.sock")), false);
});

for (const [what, send] of [
  ["garbage", "no JSON\n"],
  ["a line without end", "x".repeat(5000)],
  ["an offer without descriptors", ""],
] as const) {
  test(`a server that says ${what} is not believed`, async (t) => {
    const ledger = openLedger(join(place, `liar-${send.length}`));
    const socket = join(place, `liar-${send.length}.sock`);
    const { clone, identity } = standIn(`0000001${send.length % 10}`);
    const text = send === "" ? `${JSON.stringify({ clone: clone.offer().clone })}\n` : send;
    const serving = serveOnce(socket, async (fd) => {
      const connection = socketOf(fd);
      connection.on("error", () => undefined);
      connection.on("data", () => connection.end(text));
      await new Promise((resolve) => connection.once("close", resolve));
    });
    const request = { socket, plan: planIn(ledger.directory), memory: "copy" } as const;
    await t.throwsAsync(takeClone(request, ledger, soon()));
    await serving;
    t.deepEqual(readLedger(ledger.directory), []);
    t.true(isAlive(identity), "nothing of the offer was acted on");
  });
}

for (const [what, says] of [
  ["hangs up after the offer", undefined],
  ["says something else than that it has it", "nothing"],
] as const) {
  test(`a shim that ${what}: the server removes the clone`, async (t) => {
    const { clone, ceded, removals } = standIn(says === undefined ? "0000000c" : "0000000d");
    const { ours, theirs } = socketPair();
    const shim = socketOf(theirs);
    shim.write(`${JSON.stringify({ take: `${"a".repeat(32)}-copy` })}\n`);
    shim.once("data", () => (says === undefined ? shim.destroy() : shim.write(`${says}\n`)));
    shim.on("error", () => undefined);
    const server = socketOf(ours);
    await t.throwsAsync(
      handOver(
        { fd: ours, socket: server },
        offering(() => clone),
        soon(),
      ),
    );
    t.false(ceded());
    t.is(removals(), 1);
    server.destroy();
    shim.destroy();
  });
}

test("a shim that asks for nonsense gets nothing", async (t) => {
  const { ours, theirs } = socketPair();
  const shim = socketOf(theirs);
  shim.write('{"take": "../../../etc"}\n');
  const take = (): Clone => {
    throw new Error("nothing may be taken");
  };
  const server = socketOf(ours);
  const error = await t.throwsAsync(handOver({ fd: ours, socket: server }, offering(take), soon()));
  t.is(codeOf(error), Code.INVALID_ARGUMENT);
  server.destroy();
  shim.destroy();
});

test("an operator is told what there is, and takes nothing", async (t) => {
  const socket = join(place, "ask.sock");
  t.is(await askCache(socket, soon()), undefined);
  const never = offering(() => t.fail("nothing was asked for") as never);
  const serving = serveOnce(socket, (fd) => handOver({ fd, socket: socketOf(fd) }, never, soon()));
  t.deepEqual(await askCache(socket, soon()), { pid: process.pid, ...STATE });
  t.is(await serving, "told");
});

test("a server that does not answer is an error within the time", async (t) => {
  const socket = join(place, "mute.sock");
  const listener = listenUnix(socket);
  t.teardown(() => closeAll([listener]));
  await t.throwsAsync(askCache(socket, deadlineIn(50, "ask")), { message: /ask/ });
});
