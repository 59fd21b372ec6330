import test from "ava";
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
