// A malicious guest behind the real Task service: what it says about processes neither grows the shim nor stops it.
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import test, { type ExecutionContext } from "ava";
import { Status } from "../../proto/gen/containerd/types/task.ts";
import * as api from "../../proto/gen/tapir/agent/v1/container.ts";
import { Code } from "../../sys/status.ts";
import { hostileAgent, type Lies } from "../fakes/hostile-agent.ts";
import { type HostilePod, honest, hostilePod } from "../fakes/hostile-pod.ts";

const CALL_MS = 30_000;
/** Far more than a bounded amount needs, far less than a flood. */
const MEMORY_BYTES = 64 << 20;
/** QEMU's, in these tests; what the guest says is no pid of the host. */
const VM_PID = 4242;

/** A sandbox whose guest tells `lies`. */
const podOf = async (t: ExecutionContext, lies: Lies): Promise<HostilePod> =>
  hostilePod(t, (await hostileAgent(t, { ...honest, ...lies })).agent.containers);

/** Whatever the guest does: State, Kill and Delete go on, soon. */
async function stillServed(t: ExecutionContext, { call }: Pick<HostilePod, "call">) {
  const startMs = performance.now();
  t.is((await call("state", { id: "pod" })).status, Status.RUNNING);
  await t.throwsAsync(call("state", { id: "nobody" }), { code: Code.NOT_FOUND } as object);
  t.true(performance.now() - startMs < CALL_MS);
}

async function ended(t: ExecutionContext, pod: HostilePod): Promise<void> {
  await stillServed(t, pod);
  await pod.call("kill", { id: "pod", signal: 9 });
  await pod.call("wait", { id: "pod" });
  await pod.call("delete", { id: "c" }).catch((error: { code?: number }) => t.is(error.code, Code.NOT_FOUND));
  await pod.call("delete", { id: "pod" }, CALL_MS);
}

const used = (): number => {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};

test.serial(
  "exits out of range are an unknown end, and pids of the guest name no process of the host",
  async (t) => {
    const end = Promise.withResolvers<void>();
    const pod = await podOf(t, {
      waitProcess: (_, answer) =>
        void end.promise.then(() =>
          answer(
            null,
            api.WaitProcessResponse.fromPartial({
              exitStatus: 4_294_967_295,
              unixTimeNanoseconds: 2n ** 63n,
            }),
          ),
        ),
      execProcess: (_, answer) =>
        answer(
          null,
          api.ExecProcessResponse.fromPartial({
            pid: 1,
            failure: { exitStatus: 1_000, reason: "x\n".repeat(1 << 20) },
          }),
        ),
    });
    t.is((await pod.createContainer()).pid, VM_PID);
    t.is((await pod.call("start", { id: "c" })).pid, VM_PID);
    t.deepEqual(
      (await pod.call("pids", { id: "c" })).processes.map(({ pid }) => pid),
      [VM_PID],
    );
    await pod.call("exec", { id: "c", execId: "e", spec: { typeUrl: "", value: Buffer.from("{}") } });
    const failed = await t.throwsAsync(pod.call("start", { id: "c", execId: "e" }));
    t.regex(failed.message, /\(exit status 255\)$/);
    t.true(failed.message.length < 2_048, `${failed.message.length}`);
    t.is((await pod.call("wait", { id: "c", execId: "e" })).exitStatus, 255);
    end.resolve();
    const { exitStatus, exitedAt } = await pod.call("wait", { id: "c" });
    t.is(exitStatus, 255);
    t.true(Math.abs(Date.now() - (exitedAt?.getTime() ?? 0)) < 60_000, "by the node's clock");
    t.like(await pod.call("delete", { id: "c" }), { pid: VM_PID, exitStatus: 255 });
    await ended(t, pod);
  },
);

test.serial("a command that fails with megabytes of reasons is one short sentence", async (t) => {
  const reason = "\u001b[2J\n".repeat(700_000);
  const pod = await podOf(t, {
    createContainer: (_, answer) =>
      answer(
        null,
        api.CreateContainerResponse.fromPartial({ failure: { exitStatus: 4_000_000_000, reason } }),
      ),
  });
  const error = await t.throwsAsync(pod.createContainer());
  t.is((error as Error & { code?: number }).code, Code.UNKNOWN);
  t.true(error.message.length < 2_048);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  t.notRegex(error.message, /[\u0000-\u001f]/);
  await ended(t, pod);
});

test.serial(
  "a flood of events: unknown ids are dropped, known ones are told now and then, memory stays",
  async (t) => {
    let said = 0;
    const pod = await podOf(t, {
      events: (call) => {
        const one = (containerId: string) => api.Event.fromPartial({ oomKill: { containerId, kills: 1n } });
        const flood = (): void => {
          // As fast as the host takes them.
          while (!call.destroyed && said < 10_000_000) {
            said += 1;
            if (!call.write(one(said % 2 === 0 ? "c" : `nobody-${"x".repeat(1000)}-${said}`) as never)) break;
          }
        };
        call.on("drain", flood).on("error", () => undefined);
        flood();
      },
    });
    await pod.createContainer();
    const before = used();
    await pause(1_500);
    await stillServed(t, pod);
    t.true(used() - before < MEMORY_BYTES, `${(used() - before) >> 20} MiB`);
    const told = pod.events.filter((kind) => kind === "oom").length;
    t.true(told >= 1 && told <= 3, `${told} events`);
    t.log(
      `the guest got rid of ${said} events, the host heard ${told}; ${(used() - before) >> 10} KiB more memory`,
    );
    await ended(t, pod);
  },
);

test.serial(
  "output without end that nobody reads is held back in the guest; nor does it keep Delete",
  async (t) => {
    const MEBIBYTE = Buffer.alloc(1 << 20, "x");
    let sent = 0;
    const exit = Promise.withResolvers<void>();
    const pod = await podOf(t, {
      waitProcess: (_, answer) =>
        void exit.promise.then(() => answer(null, api.WaitProcessResponse.fromPartial({}))),
      stdio: (call) => {
        const flood = (): void => {
          while (!call.destroyed) {
            sent += 1;
            if (!call.write(api.StdioResponse.fromPartial({ stdout: MEBIBYTE }))) break;
          }
        };
        call.on("drain", flood).on("error", () => undefined);
        call.resume();
        flood();
      },
    });
    const fifo = join(pod.bundle, "stdout");
    execFileSync("mkfifo", [fifo]);
    const before = used();
    await pod.createContainer(fifo);
    await pod.call("start", { id: "c" });
    let last = -1;
    // Until nothing moves any more.
    while (last !== sent) {
      last = sent;
      await pause(300);
    }
    t.log(`${sent} MiB left the guest; ${(used() - before) >> 20} MiB more memory, the guest's own among it`);
    t.true(used() - before < MEMORY_BYTES, `${(used() - before) >> 20} MiB`);
    t.like(await pod.call("state", { id: "c" }), { status: Status.RUNNING, pid: VM_PID });
    exit.resolve();
    t.is((await pod.call("wait", { id: "c" })).exitStatus, 0);
    t.is((await pod.call("delete", { id: "c" }, 15_000)).exitStatus, 0);
    await ended(t, pod);
  },
);

test.serial(
  "output that never drains, to a reader that reads: Delete does not wait for its end",
  async (t) => {
    const chunk = Buffer.alloc(256 << 10, "x");
    const exit = Promise.withResolvers<void>();
    const pod = await podOf(t, {
      waitProcess: (_, answer) =>
        void exit.promise.then(() => answer(null, api.WaitProcessResponse.fromPartial({}))),
      stdio: (call) => {
        const flood = (): void => {
          while (!call.destroyed && call.write(api.StdioResponse.fromPartial({ stdout: chunk })));
        };
        call.on("drain", flood).on("error", () => undefined);
        call.resume();
        flood();
      },
    });
    await pod.createContainer("file:///dev/null");
    await pod.call("start", { id: "c" });
    exit.resolve();
    await pod.call("wait", { id: "c" });
    await pod.call("delete", { id: "c" }, 60_000);
    await ended(t, pod);
  },
);

test.serial("a guest that answers nothing costs each call its time limit, not the shim", async (t) => {
  const pod = await podOf(t, { signalProcess: () => undefined, removeContainer: () => undefined });
  await pod.createContainer();
  await pod.call("start", { id: "c" });
  const killing = t.throwsAsync(pod.call("kill", { id: "c", signal: 15 }, 30_000));
  await stillServed(t, pod);
  t.is(((await killing) as Error & { code?: number }).code, Code.DEADLINE_EXCEEDED);
  await ended(t, pod);
});

const stubborn: Record<string, Lies> = {
  "does not answer when a container is killed": { signalProcess: () => undefined },
  "says that it has killed a container, and never tells of its end": {},
  "does not answer when a container is to be removed": {
    waitProcess: (_, answer) => answer(null, api.WaitProcessResponse.fromPartial({})),
    removeContainer: () => undefined,
  },
  "refuses to remove a container": {
    waitProcess: (_, answer) => answer(null, api.WaitProcessResponse.fromPartial({})),
    removeContainer: (_, answer) => answer({ code: Code.FAILED_PRECONDITION, details: "busy" }),
  },
};
for (const [name, lies] of Object.entries(stubborn)) {
  test(`a guest that ${name} cannot keep its pod`, async (t) => {
    const pod = await podOf(t, lies);
    await pod.createContainer();
    await pod.call("start", { id: "c" });
    // As containerd does: killed, waited for, deleted, the last one again and again.
    await pod.call("kill", { id: "c", signal: 9 }, 30_000).catch(() => undefined);
    await pod.call("wait", { id: "c" }, 30_000);
    for (let tries = 0; ; tries += 1) {
      const failure = await pod.call("delete", { id: "c" }, 30_000).catch((error: unknown) => error);
      if (!(failure instanceof Error)) break;
      t.true(tries < 5, failure.message);
    }
    t.is((await pod.call("wait", { id: "pod" }, 30_000)).exitStatus, 137);
    await pod.call("delete", { id: "pod" }, CALL_MS);
    t.deepEqual(pod.events.toSorted(), [
      "create",
      "create",
      "delete",
      "delete",
      "exit",
      "exit",
      "start",
      "start",
    ]);
  });
}
