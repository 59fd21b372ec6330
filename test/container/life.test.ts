// Requires root, qemu-system-x86_64, and the guest image below build/.
// The life of containers in a real guest, below containerd: hypervisor and agent alone.
import test, { type ExecutionContext } from "ava";
import type { Event } from "../../proto/gen/tapir/agent/v1/container.ts";
import { codeOf, type TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import { useGuest } from "./guest.ts";
import { createRequest, exec, freshId, INTERACTIVE, run, soon, specOf } from "./pod.ts";

const guest = useGuest(test, "tapir-life-");
const SLEEP = specOf(["sh", "-c", "sleep 1000"]);

test.serial("a container runs, says what it has to say, and ends with its own exit code", async (t) => {
  const { exit, ended, output, created, id } = await run(
    t,
    guest(),
    specOf(["sh", "-c", "echo out; echo err >&2; exit 7"]),
  );
  t.deepEqual(created.ignored, []);
  t.like(await exit(), { exitStatus: 7, oomKilled: false });
  await ended;
  t.is(output.stdout.toString(), "out\n");
  t.is(output.stderr.toString(), "err\n");
  t.like(await exit(), { exitStatus: 7 }, "asked again");
  await guest().removeContainer({ containerId: id }, soon());
  await guest().removeContainer({ containerId: id }, soon());
  t.is(codeOf(await t.throwsAsync(exit())), Code.NOT_FOUND);
});

test.serial("a command that cannot be run is told at once, with the shell's exit code", async (t) => {
  const failures: [string[], number, RegExp][] = [
    [["nonexistent"], 127, /nonexistent.* not found/],
    [["/no/such/program"], 127, /not found/],
    [["/etc/passwd"], 126, /Permission denied/],
    [["/usr"], 126, /./],
  ];
  const { id } = await run(t, guest(), SLEEP);
  for (const [args, status, reason] of failures) {
    const created = await guest().createContainer(createRequest(freshId(), specOf(args)), soon());
    t.is(created.failure?.exitStatus, status, args[0]);
    t.regex(created.failure?.reason ?? "", reason);
    const { response, running } = await exec(guest(), id, { args });
    t.is(response.failure?.exitStatus, status, `exec of ${args[0]}`);
    t.regex(response.failure?.reason ?? "", reason);
    await t.throwsAsync(running.ended, { message: /NOT_FOUND/ });
  }
  const { response } = await exec(guest(), id, { args: ["sh"], cwd: "/no/such/folder" });
  t.is(response.failure?.exitStatus, 127);
  const script = "echo garbage > /tmp/garbage; chmod +x /tmp/garbage";
  const wrote = await exec(guest(), id, { args: ["sh", "-c", script] });
  t.is((await wrote.running.exit()).exitStatus, 0);
  const garbage = await exec(guest(), id, { args: ["/tmp/garbage"] });
  t.is((await garbage.running.exit()).exitStatus, 126);
  await garbage.running.ended;
  t.regex(garbage.running.output.stderr.toString(), /Exec format error/);
});

test.serial("signals reach the process, real-time ones as well; 128 and more tells of them", async (t) => {
  const { id, exit } = await run(t, guest(), SLEEP);
  for (const signal of [15, 9, 34, 37, 64]) {
    const { running } = await exec(guest(), id, { args: ["sh", "-c", "exec sleep 1000"] });
    await guest().signalProcess({ ...running.key, signal, all: false }, soon());
    t.is((await running.exit()).exitStatus, 128 + signal);
    const again = guest().signalProcess({ ...running.key, signal, all: false }, soon());
    t.is(codeOf(await t.throwsAsync(again)), Code.NOT_FOUND);
    await guest().removeProcess(running.key, soon());
    t.is(codeOf(await t.throwsAsync(running.exit())), Code.NOT_FOUND);
  }
  await guest().signalProcess({ containerId: id, execId: "", signal: 9, all: false }, soon());
  t.is((await exit()).exitStatus, 137);
});

test.serial("a signal to all ends every process; init's end does as well", async (t) => {
  const first = await run(t, guest(), SLEEP);
  const beside = await exec(guest(), first.id, { args: ["sh", "-c", "sleep 999 & wait"] });
  const listed = await guest().listProcesses({ containerId: first.id }, soon());
  t.true(listed.processes.length >= 3, "the child that exec left beside its shell");
  t.deepEqual(
    listed.processes.map(({ execId }) => execId).filter((execId) => execId !== undefined),
    ["", beside.running.key.execId],
  );
  await guest().signalProcess({ containerId: first.id, execId: "", signal: 9, all: true }, soon());
  t.is((await beside.running.exit()).exitStatus, 137);
  t.is((await first.exit()).exitStatus, 137);
  await first.ended;
  const shared = specOf(
    ["sh", "-c", "sleep 1; exit 3"],
    {},
    { namespaces: [{ type: "pid", path: "/proc/1/ns/pid" }, { type: "mount" }] },
  );
  const second = await run(t, guest(), shared);
  const child = await exec(guest(), second.id, { args: ["sh", "-c", "sleep 1000"] });
  t.is((await second.exit()).exitStatus, 3);
  t.is((await child.running.exit()).exitStatus, 137);
});

test.serial("calls that the state does not allow are refused, and change nothing", async (t) => {
  const id = freshId();
  const container = { containerId: id };
  t.teardown(() => guest().removeContainer(container, soon()));
  t.is(codeOf(await t.throwsAsync(guest().startContainer(container, soon()))), Code.NOT_FOUND);
  await guest().createContainer(createRequest(id, SLEEP), soon());
  const twice = guest().createContainer(createRequest(id, SLEEP), soon());
  t.is(codeOf(await t.throwsAsync(twice)), Code.ALREADY_EXISTS);
  t.is(codeOf(await t.throwsAsync(guest().pauseContainer(container, soon()))), Code.FAILED_PRECONDITION);
  const early = exec(guest(), id, { args: ["sh"] });
  t.is(codeOf(await t.throwsAsync(early)), Code.FAILED_PRECONDITION);
  await guest().startContainer(container, soon());
  const error = await t.throwsAsync<TapirError>(guest().startContainer(container, soon()));
  t.is(error.code, Code.FAILED_PRECONDITION);
  t.regex(error.message, /it is running/);
  const { running } = await exec(guest(), id, { args: ["sh", "-c", "sleep 1000"] });
  t.is(codeOf(await t.throwsAsync(guest().removeProcess(running.key, soon()))), Code.FAILED_PRECONDITION);
  await guest().signalProcess({ containerId: id, execId: "", signal: 9, all: false }, soon());
  await running.exit();
  const late = exec(guest(), id, { args: ["sh"] });
  t.is(codeOf(await t.throwsAsync(late)), Code.FAILED_PRECONDITION);
});

test.serial("a container killed before it starts ends as killed, and cannot be started", async (t) => {
  const id = freshId();
  t.teardown(() => guest().removeContainer({ containerId: id }, soon()));
  await guest().createContainer(createRequest(id, SLEEP), soon());
  await guest().signalProcess({ containerId: id, execId: "", signal: 9, all: true }, soon());
  t.is(
    (await guest().waitProcess({ containerId: id, execId: "" }, AbortSignal.timeout(9000))).exitStatus,
    137,
  );
  const start = guest().startContainer({ containerId: id }, soon());
  t.is(codeOf(await t.throwsAsync(start)), Code.FAILED_PRECONDITION);
});

test.serial("paused processes do nothing until they are resumed, and can be killed", async (t) => {
  const { id, exit, output } = await run(
    t,
    guest(),
    specOf(["sh", "-c", "while :; do echo tick; sleep 0.05; done"]),
  );
  await guest().pauseContainer({ containerId: id }, soon());
  await new Promise((resolve) => setTimeout(resolve, 200));
  const paused = output.stdout.length;
  await new Promise((resolve) => setTimeout(resolve, 400));
  t.is(output.stdout.length, paused);
  t.is(codeOf(await t.throwsAsync(exec(guest(), id, { args: ["sh"] }))), Code.FAILED_PRECONDITION);
  await guest().resumeContainer({ containerId: id }, soon());
  const { running } = await exec(guest(), id, { args: ["sh", "-c", "sleep 0.3"] });
  await running.exit();
  t.true(output.stdout.length > paused);
  await guest().pauseContainer({ containerId: id }, soon());
  await guest().signalProcess({ containerId: id, execId: "", signal: 9, all: false }, soon());
  t.is((await exit()).exitStatus, 137);
});

test.serial(
  "events tell every exit once, and a kill for lack of memory before the exit it causes",
  async (t) => {
    const seen: Event[] = [];
    const events = await guest().events();
    const subscribed = new Promise<void>((resolve) => {
      events.on("data", (event: Event) => {
        seen.push(event);
        if (event.subscribed === true) resolve();
      });
    });
    events.on("error", () => undefined);
    t.teardown(() => events.cancel());
    await subscribed;
    const hungry = specOf(
      ["sh", "-c", "x=a; while :; do x=$x$x; done"],
      {},
      {
        resources: { memory: { limit: 16 << 20 } },
      },
    );
    const { id, exit } = await run(t, guest(), hungry);
    t.like(await exit(), { exitStatus: 137, oomKilled: true });
    const lives = await run(t, guest(), specOf(["sh", "-c", "exit 0"]));
    t.like(await lives.exit(), { exitStatus: 0, oomKilled: false });
    const kinds = seen.filter(({ exit: one, oomKill }) => (one ?? oomKill)?.containerId === id);
    t.deepEqual(
      kinds.map(({ exit: one }) => (one === undefined ? "oom" : `exit ${one.exitStatus}`)),
      ["oom", "exit 137"],
    );
    t.is(seen.filter(({ exit: one }) => one?.containerId === lives.id).length, 1);
  },
);

test.serial("limits hold, are changed, and are seen in the counters", async (t) => {
  const limits = {
    resources: { pids: { limit: 8 }, memory: { limit: 32 << 20 }, cpu: { quota: 50_000, period: 100_000 } },
  };
  const { id } = await run(t, guest(), specOf(["sh", "-c", "sleep 1000"], {}, limits));
  const bomb = "i=0; while [ $i -lt 20 ]; do sleep 1 & i=$((i+1)); done; wait";
  const { running } = await exec(guest(), id, { args: ["sh", "-c", bomb] });
  await running.ended.catch(() => undefined);
  t.regex(running.output.stderr.toString(), /can't fork/);
  const before = await guest().statsContainer({ containerId: id }, soon());
  t.is(before.pids?.limit, 8n);
  t.is(before.memory?.limitBytes, 32n << 20n);
  t.true((before.cpu?.usageMicroseconds ?? 0n) > 0n);
  t.true((before.memory?.usageBytes ?? 0n) > 0n);
  t.true(before.memory?.stat.inactive_file !== undefined);
  const resources = {
    memory: { limit: 64 << 20 },
    pids: { limit: 100 },
    cpu: { quota: 20_000, period: 100_000, cpus: "0-7" },
  };
  const update = { containerId: id, resources: Buffer.from(JSON.stringify(resources)) };
  t.regex((await guest().updateContainer(update, soon())).ignored.join(), /cpus "0-7"/);
  const after = await guest().statsContainer({ containerId: id }, soon());
  t.is(after.pids?.limit, 100n);
  t.is(after.memory?.limitBytes, 64n << 20n);
  const pod = await guest().statsContainer({ containerId: "" }, soon());
  t.true((pod.memory?.usageBytes ?? 0n) >= (after.memory?.usageBytes ?? 0n));
});

test.serial("twelve containers at once, and a hundred processes in one", async (t) => {
  // More than a hundred and ten runs of crun, each of them emulated.
  t.timeout(300_000);
  const many = await Promise.all(Array.from({ length: 12 }, () => run(t, guest(), SLEEP)));
  const [first] = many;
  if (first === undefined) return t.fail();
  const results = await Promise.all(
    Array.from({ length: 100 }, async (_, at) => {
      const { running } = await exec(guest(), first.id, { args: ["sh", "-c", `echo ${at}; exit ${at}`] });
      await running.ended;
      return `${(await running.exit()).exitStatus} ${running.output.stdout}`;
    }),
  );
  t.deepEqual(
    results,
    results.map((_, at) => `${at} ${at}\n`),
  );
  await Promise.all(many.map(({ id }) => guest().removeContainer({ containerId: id }, soon())));
  t.pass();
});

test.serial("a process whose container is removed ends, and its streams with it", async (t) => {
  const { id } = await run(t, guest(), SLEEP);
  const { running } = await exec(guest(), id, { args: ["cat"] }, INTERACTIVE);
  const exit = running.exit();
  await guest().removeContainer({ containerId: id }, soon());
  t.is((await exit).exitStatus, 137);
  await running.ended;
  t.true(running.marks.includes("stdoutEnd"));
});

/** A container that sees all of the guest, as process 1 does. */
async function lookInside(t: ExecutionContext, script: string): Promise<string> {
  const caps = ["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_MKNOD", "CAP_SYS_ADMIN"];
  const capabilities = { bounding: caps, effective: caps, permitted: caps };
  const spec = specOf(["sh", "-c", script], { capabilities }, { namespaces: [{ type: "mount" }] });
  const { ended, output } = await run(t, guest(), spec);
  await ended;
  return `${output.stdout}${output.stderr}`;
}

test.serial("a container killed while crun is about to start it: both hear of it", async (t) => {
  const id = freshId();
  t.teardown(() => guest().removeContainer({ containerId: id }, soon()));
  await guest().createContainer(createRequest(id, SLEEP), soon());
  // crun looks whether init lives, then opens a fifo. Init that dies in between is a fifo with nobody at its other end.
  const fifo = `/proc/1/root/run/tapir/crun/${id}/exec.fifo`;
  t.is(await lookInside(t, `rm ${fifo} && mkfifo ${fifo}`), "");
  const starting = t.throwsAsync(guest().startContainer({ containerId: id }, soon()));
  const atTheFifo = `for dir in /proc/[0-9]*; do
    tr '\\0' ' ' < $dir/cmdline | grep -q 'start ${id}' && grep -q wait_for_partner $dir/wchan && echo there; done`;
  t.regex(
    await lookInside(t, `until (${atTheFifo}) 2> /dev/null | grep there; do usleep 50000; done`),
    /there/,
  );
  await guest().signalProcess({ containerId: id, execId: "", signal: 9, all: true }, soon());
  const { exitStatus } = await guest().waitProcess({ containerId: id, execId: "" }, soon().signal);
  t.is(exitStatus, 137);
  t.is(codeOf(await starting), Code.FAILED_PRECONDITION);
});
