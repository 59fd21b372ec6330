import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { isOutOfDescriptors } from "./error.ts";
import { type Ledger, ledgerOwner, openLedger, readLedger, replayLedger } from "./ledger.ts";
import { mount, unmount } from "./mount.ts";
import { identify, PROCESS_TOKEN } from "./process.ts";

function openTestLedger(t: ExecutionContext, undoMs?: number): { ledger: Ledger; directory: string } {
  const parent = mkdtempSync(join(tmpdir(), "ledger-"));
  t.teardown(() => rmSync(parent, { recursive: true }));
  const directory = join(parent, "state");
  return { ledger: openLedger(directory, undefined, undoMs), directory };
}

/** "" for a descriptor that was closed meanwhile. */
function targetOf(descriptor: string): string {
  try {
    return readlinkSync(descriptor);
  } catch {
    return "";
  }
}

function acquireDirectory(ledger: Ledger, path: string, log?: string[]) {
  return ledger.acquire(`directory ${path}`, { kind: "directory", path }, ({ onRelease }) => {
    mkdirSync(path);
    onRelease(async () => void log?.push(path));
  });
}

test("unwinds last first and removes the state directory with the ledger", async (t) => {
  const { ledger, directory } = openTestLedger(t);
  const order: string[] = [];
  await acquireDirectory(ledger, join(directory, "a"), order);
  await acquireDirectory(ledger, join(directory, "b"), order);
  await ledger.unwind();
  t.deepEqual(order, [join(directory, "b"), join(directory, "a")]);
  t.false(existsSync(directory));
});

test("tells of each step that is acquired or undone, and why one was not", async (t) => {
  const parent = mkdtempSync(join(tmpdir(), "ledger-"));
  t.teardown(() => rmSync(parent, { recursive: true }));
  const steps: string[] = [];
  const ledger = openLedger(join(parent, "state"), {
    onStep({ step, job, milliseconds, error }) {
      t.true(milliseconds >= 0);
      steps.push(`${job} ${step}${error instanceof Error ? `: ${error.message}` : ""}`);
    },
  });
  await ledger.acquire("good", { kind: "file", path: join(parent, "good") }, () => undefined);
  const bad = ledger.acquire("bad", { kind: "file", path: join(parent, "bad") }, () => {
    throw new Error("no more");
  });
  await t.throwsAsync(bad);
  await ledger.unwind();
  t.deepEqual(steps, ["acquire good", "acquire bad: no more", "undo bad", "undo good"]);
});

test("announces before it acquires", async (t) => {
  const { ledger, directory } = openTestLedger(t);
  const path = join(directory, "x");
  await ledger.acquire("x", { kind: "file", path }, () => {
    t.deepEqual(readLedger(directory)[0], { step: "x", undo: { kind: "file", path } });
  });
  await ledger.unwind();
});

test("a failing acquisition is undone at once and its error goes on", async (t) => {
  const { ledger, directory } = openTestLedger(t);
  const path = join(directory, "half");
  const failing = ledger.acquire("half", { kind: "directory", path }, () => {
    mkdirSync(path);
    throw new Error("no more");
  });
  await t.throwsAsync(failing, { message: "no more" });
  t.false(existsSync(path));
  t.deepEqual(readLedger(directory), []);
  await ledger.unwind();
});

test("release undoes one acquisition, once", async (t) => {
  const { ledger, directory } = openTestLedger(t);
  const order: string[] = [];
  const held = await acquireDirectory(ledger, join(directory, "a"), order);
  await Promise.all([held.release(), held.release()]);
  await ledger.unwind();
  t.is(order.length, 1);
});

test("an undo that fails does not stop the others, and the ledger outlives it", async (t) => {
  const { ledger, directory } = openTestLedger(t);
  await acquireDirectory(ledger, join(directory, "a"));
  // A mount point can't be removed: EBUSY, until it is unmounted.
  const stuck = join(directory, "stuck");
  mkdirSync(stuck);
  mount({ source: "tmpfs", target: stuck, type: "tmpfs" });
  t.teardown(() => unmount(stuck));
  await ledger.acquire("stuck", { kind: "directory", path: stuck }, () => undefined);
  const error = await t.throwsAsync(ledger.unwind(), { instanceOf: AggregateError });
  t.is(error.errors.length, 1);
  t.false(existsSync(join(directory, "a")));
  t.deepEqual(
    readLedger(directory).map(({ step }) => step),
    ["stuck"],
  );
  unmount(stuck);
  await ledger.unwind();
  t.false(existsSync(directory));
});

test("an undo that never comes back is given up in its time; the others go on, and its entry is undone all the same", async (t) => {
  const { ledger, directory } = openTestLedger(t, 300);
  await acquireDirectory(ledger, join(directory, "a"));
  const stuck = join(directory, "stuck");
  await ledger.acquire("stuck", { kind: "directory", path: stuck }, ({ onRelease }) => {
    mkdirSync(stuck);
    onRelease(() => new Promise(() => undefined));
  });
  await acquireDirectory(ledger, join(directory, "b"));
  const startMs = performance.now();
  const alive = setInterval(() => undefined, 1000);
  await ledger.unwind();
  clearInterval(alive);
  t.true(performance.now() - startMs >= 290);
  t.false(existsSync(directory));
});

test("a replay undoes what a killed process left, found by token or by pid", async (t) => {
  const { ledger, directory } = openTestLedger(t);
  const spawnSleep = (token: string) =>
    spawn("sleep", ["60"], { env: { ...process.env, [PROCESS_TOKEN]: token }, stdio: "ignore" });
  const announced = spawnSleep(`${directory}/1`);
  const known = spawnSleep(`${directory}/2`);
  await ledger.acquire("announced", { kind: "process", token: `${directory}/1` }, () => undefined);
  await ledger.acquire("known", { kind: "process", token: `${directory}/2` }, ({ amend }) => {
    const identity = identify(known.pid ?? 0);
    t.truthy(identity);
    if (identity) amend({ kind: "process", token: `${directory}/2`, ...identity });
  });
  const { undone, failures } = await replayLedger(directory);
  t.deepEqual(failures, []);
  t.deepEqual(undone, ["known", "announced"]);
  t.is(identify(announced.pid ?? 0), undefined);
  t.is(identify(known.pid ?? 0), undefined);
  t.false(existsSync(directory));
});

test("a process that took over a recorded pid is left alone", async (t) => {
  const { ledger, directory } = openTestLedger(t);
  const stranger = spawn("sleep", ["60"], { stdio: "ignore" });
  t.teardown(() => stranger.kill("SIGKILL"));
  const pid = stranger.pid ?? 0;
  await ledger.acquire("gone", { kind: "process", token: "gone", pid, startTime: "1" }, () => undefined);
  await replayLedger(directory);
  t.truthy(identify(pid));
});

test("a torn last line is ignored; a missing ledger is an empty one", async (t) => {
  const { ledger, directory } = openTestLedger(t);
  await acquireDirectory(ledger, join(directory, "a"));
  appendFileSync(join(directory, "ledger"), '{"id":9,"step":"to');
  t.is(readLedger(directory).length, 1);
  await ledger.unwind();
  t.deepEqual(readLedger(directory), []);
  t.deepEqual(await replayLedger(directory), { undone: [], failures: [] });
});

test("a ledger that is ceded forgets all and undoes nothing", async (t) => {
  const { ledger, directory } = openTestLedger(t);
  const made = join(directory, "made");
  const { release } = await acquireDirectory(ledger, made);
  ledger.cede();
  t.deepEqual(readLedger(directory), []);
  await ledger.unwind();
  t.true(existsSync(made));
  await t.throwsAsync(acquireDirectory(ledger, join(directory, "more")));
  await release();
  t.deepEqual(readLedger(directory), [], "nothing is written any more");
  t.deepEqual(await replayLedger(directory), { undone: [], failures: [] });
});

test.serial(
  "without descriptors an unwind stops at once and says so; what was undone is written down, and a replay does the rest",
  async (t) => {
    const parent = mkdtempSync(join(tmpdir(), "ledger-"));
    t.teardown(() => rmSync(parent, { recursive: true }));
    const directory = join(parent, "state");
    const told: unknown[] = [];
    const ledger = openLedger(directory, { onHelpless: (error) => told.push(error) });
    await acquireDirectory(ledger, join(directory, "a"));
    await acquireDirectory(ledger, join(directory, "b"));
    const { release } = await ledger.acquire(
      "kept by this process",
      { kind: "descriptors" },
      () => undefined,
    );
    execFileSync("prlimit", ["--pid", String(process.pid), "--nofile=256:"]);
    const held: number[] = [];
    const exhaust = (): number => {
      for (;;) held.push(openSync("/dev/null", "r"));
    };
    try {
      t.throws(exhaust, { code: "EMFILE" });
      await release();
      const error = await t.throwsAsync(ledger.unwind(), { instanceOf: AggregateError });
      t.is(error.errors.length, 1);
      t.true(isOutOfDescriptors(error));
    } finally {
      for (const fd of held) closeSync(fd);
    }
    t.is(told.length, 1);
    const steps = readLedger(directory).map(({ step }) => step);
    t.deepEqual(steps, [`directory ${join(directory, "b")}`, `directory ${join(directory, "a")}`]);
    t.deepEqual((await replayLedger(directory)).failures, []);
    t.false(existsSync(directory));
  },
);

test("a line that did not fit on the disk does not take the next one with it", async (t) => {
  const parent = mkdtempSync(join(tmpdir(), "ledger-"));
  mount({ source: "tmpfs", target: parent, type: "tmpfs", data: "size=64k" });
  t.teardown(() => {
    unmount(parent);
    rmSync(parent, { recursive: true });
  });
  const ledger = openLedger(join(parent, "state"));
  const filler = join(parent, "filler");
  t.throws(() => writeFileSync(filler, Buffer.alloc(1 << 20)), { code: "ENOSPC" });
  const path = join(parent, "x".repeat(5000));
  await t.throwsAsync(acquireDirectory(ledger, path), { code: "ENOSPC" });
  rmSync(filler);
  await acquireDirectory(ledger, join(parent, "a"));
  t.deepEqual(
    readLedger(ledger.directory).map(({ step }) => step),
    [`directory ${join(parent, "a")}`],
  );
  await ledger.unwind();
});

test("a ledger does not grow with what is over, and tells of what is held all the time", async (t) => {
  const { ledger, directory } = openTestLedger(t);
  await acquireDirectory(ledger, join(directory, "stays"));
  await ledger.acquire("amended", { kind: "file", path: "before" }, ({ amend }) =>
    amend({ kind: "file", path: join(directory, "after") }),
  );
  const owner = ledgerOwner(directory);
  let longest = 0;
  for (let life = 0; life < 200; life += 1) {
    const { release } = await acquireDirectory(ledger, join(directory, `goes-${life}`));
    t.deepEqual(
      readLedger(directory).map(({ step }) => step),
      [`directory ${join(directory, `goes-${life}`)}`, "amended", `directory ${join(directory, "stays")}`],
    );
    await release();
    longest = Math.max(longest, readFileSync(join(directory, "ledger"), "utf8").split("\n").length);
  }
  t.true(longest < 80, `${longest} lines`);
  t.deepEqual(ledgerOwner(directory), owner);
  t.deepEqual(readLedger(directory)[0]?.undo, { kind: "file", path: join(directory, "after") });
  t.deepEqual((await replayLedger(directory)).failures, []);
});

test("a directory whose ledger is gone, or was never written, is removed; not while something is mounted in it", async (t) => {
  const { ledger, directory } = openTestLedger(t);
  ledger.cede();
  const place = join(directory, "shared");
  mkdirSync(place);
  mount({ source: "tmpfs", target: place, type: "tmpfs" });
  writeFileSync(join(place, "precious"), "");
  const { failures } = await replayLedger(directory);
  t.regex(String(failures[0]), /is mounted/);
  t.true(existsSync(join(place, "precious")));
  unmount(place);
  t.deepEqual(await replayLedger(directory), { undone: [], failures: [] });
  t.false(existsSync(directory));
});

test("the ledger is the last file of its directory to go", async (t) => {
  const { directory } = openTestLedger(t);
  for (const name of ["a", "z"]) writeFileSync(join(directory, name), "");
  const script = `import { replayLedger } from ${JSON.stringify(join(import.meta.dirname, "ledger.ts"))};
await replayLedger(${JSON.stringify(directory)});`;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", script], {
    env: { ...process.env, TAPIR_FAILPOINTS: "ledger.removed=kill" },
  });
  const [, signal] = await once(child, "exit");
  t.is(signal, "SIGKILL");
  t.deepEqual(readdirSync(directory), []);
  await replayLedger(directory);
  t.false(existsSync(directory));
});

test("a ledger that cannot be shortened keeps no descriptor for each try", async (t) => {
  const { ledger, directory } = openTestLedger(t);
  // A directory is in the place of the file: nothing can be renamed to it.
  rmSync(join(directory, "ledger"));
  mkdirSync(join(directory, "ledger"));
  for (let round = 0; round < 300; round++) {
    const path = join(directory, "none");
    await (await ledger.acquire("round", { kind: "file", path }, () => undefined)).release();
  }
  const open = readdirSync("/proc/self/fd").map((fd) => targetOf(`/proc/self/fd/${fd}`));
  t.is(open.filter((target) => target.startsWith(join(directory, "ledger"))).length, 1);
  await ledger.unwind();
});
