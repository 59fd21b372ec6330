import test from "ava";
import { deadlineIn } from "../../sys/deadline.ts";
import { yesGuest } from "../../test/fakes/guest.ts";
import { lazyPod } from "./lazy-pod.ts";
import type { OpenPod, PodContext } from "./pod.ts";

const context = {} as PodContext;

test("a pod waits for its code, no longer than its deadline", async (t) => {
  // A deadline's own timer does not keep a process alive.
  const alive = setTimeout(() => undefined, 5000);
  t.teardown(() => clearTimeout(alive));
  const loading = Promise.withResolvers<OpenPod>();
  const pod = lazyPod(loading.promise)(context);
  await t.throwsAsync(pod.create(deadlineIn(10, "create")), {
    message: /cannot load the sandbox code.*not done within 10 ms/,
  });
  await t.notThrowsAsync(pod.stop(deadlineIn(10, "stop")));
  await t.notThrowsAsync(pod.close());
  const created = { pid: 7, exited: new Promise<never>(() => undefined), guest: yesGuest() };
  loading.resolve(() => ({
    create: async () => created,
    start: async () => {},
    stop: async () => {},
    close: async () => {},
  }));
  t.is(await pod.create(deadlineIn(60_000, "create")), created);
});

test("code that cannot be loaded says so with every create", async (t) => {
  const open = lazyPod(Promise.reject(new Error("no koffi.node")));
  for (let index = 0; index < 2; index++) {
    const create = open(context).create(deadlineIn(60_000, "create"));
    await t.throwsAsync(create, { message: /no koffi\.node; install Tapir again/ });
  }
});
