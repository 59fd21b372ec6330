import { setTimeout } from "node:timers/promises";
import test from "ava";
import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import { yesGuest } from "../../test/fakes/guest.ts";
import { heardOrGone, openObedience } from "./obedience.ts";
import type { Workload } from "./workload.ts";

const late = new TapirError({ code: Code.DEADLINE_EXCEEDED, operation: "ask", object: "the guest" });
const absent = new TapirError({ code: Code.NOT_FOUND, operation: "ask", object: "the guest" });

const quiet = (): void => undefined;
const silentLog = { debug: quiet, info: quiet, warn: quiet, error: quiet };

/** A guest that answers questions about a container by `answer`. */
function obedienceOf(answer: () => Promise<never>) {
  const guest = { ...yesGuest({ statsContainer: answer }), limits: { createMs: 1000, requestMs: 10 } };
  const ended: string[] = [];
  const workload = {
    id: "web",
    guest,
    log: silentLog,
    endPod: async () => void ended.push("pod"),
  } as Partial<Workload> as Workload;
  return { ...openObedience(workload), ended };
}

test("a guest that removes slowly and answers meanwhile has time", async (t) => {
  let asked = 0;
  const { remove, ended } = obedienceOf(async () => {
    asked += 1;
    throw absent;
  });
  await remove(setTimeout(200));
  t.true(asked > 1);
  t.deepEqual(ended, []);
  const before = asked;
  await setTimeout(50);
  t.is(asked, before, "nobody is asked any more");
});

test("a guest that answers nothing while it removes a container loses its pod, long before the removal is over", async (t) => {
  const { remove, ended } = obedienceOf(async () => {
    throw late;
  });
  await remove(new Promise(() => undefined));
  t.deepEqual(ended, ["pod"]);
});

test("so does one that was told to kill a container, said yes, and answers nothing then", async (t) => {
  const { kill, ended } = obedienceOf(async () => {
    throw late;
  });
  await kill(Promise.resolve(), new Promise(() => undefined));
  await setTimeout(100);
  t.deepEqual(ended, ["pod"]);
});

test("who is killed in a guest that is just going ends with it; other refusals count", async (t) => {
  const gone = new TapirError({ code: Code.UNAVAILABLE, operation: "signal", object: "a process" });
  await heardOrGone(Promise.reject(gone), setTimeout(50));
  await t.throwsAsync(heardOrGone(Promise.reject(absent), setTimeout(50)), { is: absent });
});
