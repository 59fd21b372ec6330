import { spawn } from "node:child_process";
import test from "ava";
import { deadlineIn } from "./deadline.ts";
import { identify, isAlive, killProcess, waitForExit } from "./process.ts";

test("identity, wait and kill of a process", async (t) => {
  const child = spawn("sleep", ["60"], { stdio: "ignore" });
  const identity = identify(child.pid ?? 0);
  t.truthy(identity);
  if (!identity) return;
  t.true(isAlive(identity));
  const gone = waitForExit(identity, deadlineIn(60_000, "wait"));
  await killProcess(identity, deadlineIn(60_000, "kill"));
  await gone;
  t.false(isAlive(identity));
  await killProcess(identity, deadlineIn(60_000, "kill again"));
});

test("waiting for a process that lives ends with the deadline", async (t) => {
  const child = spawn("sleep", ["60"], { stdio: "ignore" });
  t.teardown(() => child.kill("SIGKILL"));
  const identity = identify(child.pid ?? 0);
  if (!identity) return t.fail();
  await t.throwsAsync(waitForExit(identity, deadlineIn(30, "wait for sleep")), { message: /wait for sleep/ });
});

test("nobody has this pid", (t) => {
  t.is(identify(4_194_304 + 1), undefined);
});
