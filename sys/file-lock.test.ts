import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { deadlineIn } from "./deadline.ts";
import { codeOf } from "./error.ts";
import { lockFile, tryLock, tryLockDirectory } from "./file-lock.ts";
import { mount, unmount } from "./mount.ts";
import { Code } from "./status.ts";

function lockPath(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), "tapir-lock-"));
  t.teardown(() => rmSync(directory, { recursive: true }));
  return join(directory, "lock");
}

const openDescriptors = (): number => readdirSync("/proc/self/fd").length;
const soon = () => deadlineIn(60_000, "take the lock");

test("one owner at a time; released, it is free", async (t) => {
  const path = lockPath(t);
  const first = tryLock(path);
  t.truthy(first);
  t.is(tryLock(path), undefined);
  first?.release();
  first?.release();
  using second = await lockFile(path, soon());
  t.truthy(second);
});

test("waiters get it one after the other", async (t) => {
  const path = lockPath(t);
  let inside = 0;
  let most = 0;
  await Promise.all(
    Array.from({ length: 10 }, async () => {
      using _lock = await lockFile(path, soon());
      most = Math.max(most, ++inside);
      await new Promise((resolve) => setTimeout(resolve, 5));
      inside -= 1;
    }),
  );
  t.is(most, 1);
});

test("the deadline ends the wait", async (t) => {
  const path = lockPath(t);
  using _lock = tryLock(path);
  const error = await t.throwsAsync(lockFile(path, deadlineIn(50, "build")));
  t.is(codeOf(error), Code.DEADLINE_EXCEEDED);
});

test("the lock of a killed process is taken over at once", async (t) => {
  const path = lockPath(t);
  const script = `
    import { tryLock } from ${JSON.stringify(join(import.meta.dirname, "file-lock.ts"))};
    globalThis.lock = tryLock(${JSON.stringify(path)});
    process.stdout.write("locked");
    setInterval(() => undefined, 1000);`;
  const owner = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(owner.stdout, "data");
  t.is(tryLock(path), undefined);
  const waiting = lockFile(path, soon());
  owner.kill("SIGKILL");
  using lock = await waiting;
  t.truthy(lock);
});

test("a directory has one owner, too, and stays empty", (t) => {
  const directory = dirname(lockPath(t));
  const first = tryLockDirectory(directory);
  t.truthy(first);
  t.is(tryLockDirectory(directory), undefined);
  t.deepEqual(readdirSync(directory), []);
  first?.release();
  first?.release();
  using second = tryLockDirectory(directory);
  t.truthy(second);
  t.throws(() => tryLockDirectory(join(directory, "none")), { message: /ENOENT/ });
});

test("a lock whose owner cannot be written down is not kept", (t) => {
  const place = dirname(lockPath(t));
  mount({ source: "tmpfs", target: place, type: "tmpfs", data: "size=4k" });
  t.teardown(() => unmount(place));
  const path = join(place, "lock");
  tryLock(path)?.release();
  writeFileSync(path, "");
  const filler = join(place, "filler");
  writeFileSync(filler, Buffer.alloc(4096, "x"));
  const before = openDescriptors();
  t.throws(() => tryLock(path), { message: /^cannot lock .*ENOSPC/ });
  t.is(openDescriptors(), before);
  rmSync(filler);
  using lock = tryLock(path);
  t.truthy(lock);
});
