import test from "ava";
import { Code } from "../../sys/status.ts";
import { openPodPids } from "./pod-pids.ts";
import type { ProcessStatus } from "./task.ts";

const OWN = [
  { type: "mount", path: "" },
  { type: "pid", path: "" },
];
/** Of the pod, or of a target: containerd writes the same. */
const GIVEN = [{ type: "pid", path: "/proc/4242/ns/pid" }];
const GUEST = [{ type: "mount", path: "" }];

function fakePod() {
  const states: Record<string, ProcessStatus> = {};
  const pids = openPodPids((id) => states[id]);
  const start = (id: string, namespaces: typeof OWN): string => {
    const joined = pids.join(id, namespaces);
    states[id] = "running";
    return joined;
  };
  return { states, start };
}

test("containers of a pod that shares have the pod's namespace", (t) => {
  const { start } = fakePod();
  t.deepEqual([start("a", GIVEN), start("b", GIVEN), start("own", OWN), start("c", GIVEN)], ["", "", "", ""]);
});

test("a container that joins another one: the only one that has a namespace of its own, and runs", (t) => {
  const { states, start } = fakePod();
  for (const id of ["app", "ended", "removed"]) t.is(start(id, OWN), "");
  states.ended = "stopped";
  delete states.removed;
  t.is(start("host", GUEST), "");
  t.is(start("debug", GIVEN), "app");
  t.is(start("again", GIVEN), "app", "who has joined one is none to be joined");
  states.app = "stopped";
  t.is(start("late", GIVEN), "", "nobody is left but the pod");
});

test("where several could be meant, none is guessed", (t) => {
  const { start } = fakePod();
  for (const id of ["app", "sidecar"]) start(id, OWN);
  t.throws(() => start("debug", GIVEN), {
    code: Code.FAILED_PRECONDITION,
    message: /cannot create container debug: .* one of app, sidecar, .*shareProcessNamespace/,
  } as object);
});
