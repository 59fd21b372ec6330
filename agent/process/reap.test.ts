import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import test from "ava";
import { check, libc } from "../../sys/libc.ts";
import { childrenOfSelf, reap, reapOrphans } from "./reap.ts";

// As a subreaper this process gets orphans like the first process of a guest does.
const PR_SET_CHILD_SUBREAPER = 36;
check(libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "become", "subreaper");

const reaper = reapOrphans();
test.after.always(() => reaper[Symbol.dispose]());

async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; tries < 500; tries++) {
    if (condition()) return;
    await sleep(10);
  }
  throw new Error("it never happened");
}

/** Starts a shell that leaves `count` orphans behind, each ending by itself. */
async function leaveOrphans(count: number): Promise<number | null> {
  const shell = spawn("sh", ["-c", `for i in $(seq ${count}); do (sleep 0.1 &); done; exit 7`]);
  const [code] = (await once(shell, "exit")) as [number | null];
  return code;
}

test.serial("orphans are reaped, Node's own children keep their exit code", async (t) => {
  const codes = await Promise.all(Array.from({ length: 5 }, () => leaveOrphans(4)));
  t.deepEqual(codes, [7, 7, 7, 7, 7]);
  await until(() => childrenOfSelf().length === 0);
  t.deepEqual(childrenOfSelf(), []);
});

test.serial("a child that lives is left alone", async (t) => {
  const child = spawn("sleep", ["60"]);
  t.deepEqual(reap(), []);
  child.kill();
  const [, signal] = (await once(child, "exit")) as [number | null, string];
  t.is(signal, "SIGTERM");
});

test.serial("an ended child of Node's is never taken", async (t) => {
  const child = spawn("true");
  // The event loop stands still meanwhile: libuv cannot have reaped it before.
  const end = Date.now() + 300;
  while (Date.now() < end);
  t.deepEqual(reap(), []);
  const [code] = (await once(child, "exit")) as [number];
  t.is(code, 0);
});

test.serial("a program that is not there is an error of its starter, as ever", async (t) => {
  const [error] = (await once(spawn("/no/such/program"), "error")) as [NodeJS.ErrnoException];
  t.is(error.code, "ENOENT");
});

test.serial("pids that are no children are passed over", (t) => {
  t.deepEqual(
    reap(() => [1, 2 ** 22 - 1]),
    [],
  );
});
