import { setImmediate as turn } from "node:timers/promises";
import test from "ava";
import { Status } from "../../proto/gen/containerd/types/task.ts";
import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import { startTaskShim } from "../../test/fakes/task-shim.ts";

/** As after a restart of containerd during Create: it finds a container that is coming up, kills it, and waits. */
test("who waits for a container that is given up while it is made hears that it never was", async (t) => {
  const asked = Promise.withResolvers<void>();
  const answered = Promise.withResolvers<void>();
  const { call, start, createContainer, events } = await startTaskShim(
    t,
    {},
    {
      async createContainer() {
        asked.resolve();
        await answered.promise;
        return { pid: 1, failure: undefined, ignored: [] };
      },
    },
  );
  await start();
  const creating = createContainer("web");
  await asked.promise;
  const waiting = call("wait", { id: "web" }, 2000);
  await call("kill", { id: "web", signal: 9 });
  answered.resolve();
  await t.throwsAsync(creating, { message: /told to stop while it was starting/ });
  await t.throwsAsync(waiting, { message: /told to stop while it was starting/ });
  t.deepEqual(events, ["create", "start"]);
});

/** What a guest says of a wait that took as long as a timer can. */
test("a wait that the guest gives up is no end: it is asked again", async (t) => {
  let asked = 0;
  const started = Promise.withResolvers<void>();
  const { call, start, createContainer, stories } = await startTaskShim(
    t,
    {},
    {
      async waitProcess() {
        asked++;
        if (asked > 1) {
          await started.promise;
          return { exitStatus: 3, unixTimeNanoseconds: 0n, oomKilled: false };
        }
        const cause = "not done within 2147483647 ms";
        throw new TapirError({
          code: Code.DEADLINE_EXCEEDED,
          operation: "finish",
          object: "wait for process",
          cause,
        });
      },
    },
  );
  await start();
  await createContainer("web");
  await call("start", { id: "web" });
  started.resolve();
  t.like(await call("wait", { id: "web" }), { exitStatus: 3 });
  t.deepEqual(stories.slice(2), ["create web", "start web", "exit web"]);
});

test("a signal that ends nothing does not end a create; one that does has its effect", async (t) => {
  const answers = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let asked = 0;
  const { call, start, createContainer } = await startTaskShim(
    t,
    {},
    {
      async createContainer() {
        await answers[asked++]?.promise;
        return { pid: 1, failure: undefined, ignored: [] };
      },
    },
  );
  await start();
  for (const [at, [id, signals]] of [["looked-at", [0, 28]] as const, ["hung-up", [1]] as const].entries()) {
    const creating = createContainer(id);
    creating.catch(() => undefined);
    while (asked <= at) await turn();
    for (const signal of signals) await call("kill", { id, signal });
    answers[at]?.resolve();
    if (at === 0) t.like(await creating, { pid: 4242 });
    else await t.throwsAsync(creating, { code: Code.CANCELLED });
  }
});

/** The ends of processes, each by the test's hand; without exec id that of an init. */
function steeredEnds() {
  const ends = new Map<string, PromiseWithResolvers<number>>();
  const endOf = (id: string, execId: string): PromiseWithResolvers<number> => {
    const key = `${id} ${execId}`;
    const end = ends.get(key) ?? Promise.withResolvers<number>();
    ends.set(key, end);
    return end;
  };
  return {
    end: (id: string, execId: string, status: number) => endOf(id, execId).resolve(status),
    async waitProcess({ containerId, execId }: { containerId: string; execId: string }) {
      return {
        exitStatus: await endOf(containerId, execId).promise,
        unixTimeNanoseconds: 0n,
        oomKilled: false,
      };
    },
  };
}

const PROCESS = { typeUrl: "Process", value: Buffer.from("{}") };

test("what a state does not allow is refused with containerd's codes", async (t) => {
  const { end, waitProcess } = steeredEnds();
  const { call, start, createContainer } = await startTaskShim(t, {}, { waitProcess });
  await start();
  await createContainer("web");
  const web = { id: "web" };
  await t.throwsAsync(call("exec", { ...web, execId: "early", spec: PROCESS }), {
    code: Code.FAILED_PRECONDITION,
  });
  const early = [call("wait", web), call("wait", web)];
  await call("start", web);
  await t.throwsAsync(call("start", web), { code: Code.FAILED_PRECONDITION });
  await call("exec", { ...web, execId: "e", spec: PROCESS });
  await t.throwsAsync(call("exec", { ...web, execId: "e", spec: PROCESS }), { code: Code.ALREADY_EXISTS });
  await t.throwsAsync(call("kill", { ...web, execId: "e", signal: 9 }), { code: Code.FAILED_PRECONDITION });
  for (const verb of ["start", "kill", "wait", "delete", "state", "resizePty"] as const)
    await t.throwsAsync(call(verb, { ...web, execId: "none" }), { code: Code.NOT_FOUND }, verb);
  await t.throwsAsync(call("closeIO", { ...web, execId: "none", stdin: true }), { code: Code.NOT_FOUND });
  await t.throwsAsync(call("delete", web), { code: Code.FAILED_PRECONDITION, message: /stop it first/ });
  await t.throwsAsync(call("resizePty", web), { code: Code.FAILED_PRECONDITION, message: /no terminal/ });
  await t.throwsAsync(call("create", { id: "web", bundle: "/" }), { code: Code.ALREADY_EXISTS });
  t.truthy((await call("stats", web)).stats);
  end("web", "", 3);
  for (const waited of [...early, call("wait", web)]) t.like(await waited, { exitStatus: 3 });
  for (const verb of ["kill", "stats"] as const)
    await t.throwsAsync(call(verb, { ...web, signal: 9 }), { code: Code.NOT_FOUND }, verb);
  for (const verb of ["pause", "resume", "start"] as const)
    await t.throwsAsync(call(verb, web), { code: Code.FAILED_PRECONDITION }, verb);
  await t.throwsAsync(call("exec", { ...web, execId: "late", spec: PROCESS }), {
    code: Code.FAILED_PRECONDITION,
  });
  t.like(await call("delete", web), { exitStatus: 3 });
  await t.throwsAsync(call("delete", web), { code: Code.NOT_FOUND });
});

test("an exec's end is told once, with its own id, and before its container's", async (t) => {
  const { end, waitProcess } = steeredEnds();
  const { call, start, createContainer, stories } = await startTaskShim(t, {}, { waitProcess });
  await start();
  await createContainer("web");
  await call("start", { id: "web" });
  for (const execId of ["one", "two"]) {
    await call("exec", { id: "web", execId, spec: PROCESS });
    await call("start", { id: "web", execId });
  }
  end("web", "one", 7);
  const one = { id: "web", execId: "one" };
  for (let time = 0; time < 2; time++) t.like(await call("wait", one), { exitStatus: 7 });
  // Init goes first, and takes the other one along.
  end("web", "", 0);
  end("web", "two", 137);
  t.like(await call("wait", { id: "web" }), { exitStatus: 0 });
  t.like(await call("wait", { id: "web", execId: "two" }), { exitStatus: 137 });
  t.like(await call("delete", one), { exitStatus: 7 });
  await call("delete", { id: "web" });
  t.deepEqual(stories.slice(2), [
    ...["create web", "start web"],
    ...["execAdded web one", "execStarted web one", "execAdded web two", "execStarted web two"],
    ...["exit web one", "exit web two", "exit web", "delete web"],
  ]);
});

test("a guest that never answers for one container's counters holds up no other one", async (t) => {
  const { end, waitProcess } = steeredEnds();
  const asked = Promise.withResolvers<void>();
  const { call, start, createContainer } = await startTaskShim(
    t,
    {},
    {
      waitProcess,
      async statsContainer() {
        asked.resolve();
        return new Promise<never>(() => undefined);
      },
      async signalProcess({ containerId }) {
        end(containerId, "", 137);
        return {};
      },
    },
  );
  await start();
  for (const id of ["stuck", "beside"]) {
    await createContainer(id);
    await call("start", { id });
  }
  let answered = false;
  const settled = () => {
    answered = true;
  };
  void call("stats", { id: "stuck" }).then(settled, settled);
  await asked.promise;
  t.like(await call("state", { id: "beside" }), { status: Status.RUNNING });
  await call("kill", { id: "beside", signal: 9 });
  t.like(await call("wait", { id: "beside" }), { exitStatus: 137 });
  t.like(await call("delete", { id: "beside" }), { exitStatus: 137 });
  // Nor what is asked of the container itself.
  await call("kill", { id: "stuck", signal: 9 });
  await call("wait", { id: "stuck" });
  t.like(await call("delete", { id: "stuck" }), { exitStatus: 137 });
  t.false(answered);
});

test("a container does not configure the VM that it comes into; what its pod says may be there again", async (t) => {
  const key = "io.tapir.config.hypervisor.qemu.default_vcpus";
  const config = { annotations: { "io.kubernetes.cri.container-type": "sandbox", [key]: "2" } };
  const { start, createContainer } = await startTaskShim(t, config);
  await start();
  const of = (vcpus: string) => ({
    annotations: {
      "io.kubernetes.cri.container-type": "container",
      "io.kubernetes.cri.sandbox-id": "pod",
      [key]: vcpus,
    },
  });
  await createContainer("same", of("2"));
  await t.throwsAsync(createContainer("other", of("3")), {
    code: Code.INVALID_ARGUMENT,
    message:
      /cannot create container other: its annotation .*default_vcpus belongs to the pod.*set it on the pod/,
  });
});

test("an exec that never ends is told to have ended, before its container", async (t) => {
  const { end, waitProcess } = steeredEnds();
  const { call, start, createContainer, stories } = await startTaskShim(t, {}, { waitProcess });
  await start();
  await createContainer("web");
  await call("start", { id: "web" });
  await call("exec", { id: "web", execId: "never", spec: PROCESS });
  await call("start", { id: "web", execId: "never" });
  end("web", "", 3);
  t.like(await call("wait", { id: "web" }, 10_000), { exitStatus: 3 });
  t.like(await call("wait", { id: "web", execId: "never" }), { exitStatus: 137 });
  t.deepEqual(stories.slice(-2), ["exit web never", "exit web"]);
});
