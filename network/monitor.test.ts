// Needs root: works in a network namespace of its own.
import { execFileSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import test, { type ExecutionContext } from "ava";
import { monitorNetns } from "./monitor.ts";

let spaces = 0;
async function inSpace(
  t: ExecutionContext,
  work: (netns: string, ip: (line: string) => void) => Promise<void>,
): Promise<void> {
  const name = `tapir-monitor-${process.pid}-${spaces++}`;
  execFileSync("ip", ["netns", "add", name]);
  t.teardown(() => execFileSync("ip", ["netns", "del", name]));
  await work(`/run/netns/${name}`, (line) => void execFileSync("ip", ["-n", name, ...line.split(" ")]));
}
async function until(done: () => boolean): Promise<void> {
  const end = performance.now() + 30_000;
  while (!done() && performance.now() < end) await sleep(5);
}

test("a burst of changes is one call, soon after; calls do not overlap", async (t) => {
  await inSpace(t, async (netns, ip) => {
    let calls = 0;
    let running = 0;
    const monitor = monitorNetns(
      netns,
      async () => {
        calls += 1;
        running += 1;
        t.is(running, 1);
        await sleep(30);
        running -= 1;
      },
      (error) => t.fail(String(error)),
    );
    ip("link add a0 type veth peer name b0");
    ip("link set a0 up");
    ip("addr add 10.0.0.1/24 dev a0");
    await until(() => calls > 0);
    t.true(calls > 0);
    await sleep(300);
    const before = calls;
    ip("route add 10.9.0.0/16 dev a0");
    ip("rule add pref 7 table 9");
    await until(() => calls > before);
    t.true(calls - before >= 1);
    await monitor.close();
    const last = calls;
    ip("addr add 10.0.0.2/24 dev a0");
    await sleep(200);
    t.is(calls, last, "closed");
  });
});

test("what failed is tried again, without another event", async (t) => {
  await inSpace(t, async (netns, ip) => {
    let calls = 0;
    const failures: unknown[] = [];
    const monitor = monitorNetns(
      netns,
      async () => {
        calls += 1;
        if (calls === 1) throw new Error("not yet");
      },
      (error) => failures.push(error),
    );
    ip("link set lo up");
    await until(() => calls >= 2);
    t.is(failures.length, 1);
    t.true(calls >= 2);
    await monitor.close();
  });
});

test("it begins with a call: what changed before it listened is told by no event", async (t) => {
  await inSpace(t, async (netns) => {
    let calls = 0;
    const monitor = monitorNetns(
      netns,
      async () => {
        calls += 1;
      },
      (error) => t.fail(String(error)),
    );
    await until(() => calls > 0);
    await sleep(300);
    t.is(calls, 1);
    await monitor.close();
  });
});

test("a failure that stays is told once, another one too", async (t) => {
  await inSpace(t, async (netns) => {
    let calls = 0;
    const failures: string[] = [];
    const monitor = monitorNetns(
      netns,
      async () => {
        calls += 1;
        throw new Error(calls < 3 ? "it is gone" : "something else");
      },
      (error) => failures.push(String(error)),
    );
    await until(() => calls >= 3);
    await monitor.close();
    t.deepEqual(failures, ["Error: it is gone", "Error: something else"]);
  });
});
