import test from "ava";
import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import { type SandboxEvent, type SandboxState, transition } from "./state.ts";

const exit = { status: 137, exitedAt: new Date(0) };
const states = {
  creating: { name: "creating" },
  created: { name: "created", pid: 7 },
  running: { name: "running", pid: 7 },
  "stopping early": { name: "stopping", pid: undefined, signal: 15 },
  stopping: { name: "stopping", pid: 7, signal: 15 },
  stopped: { name: "stopped", pid: 7, exit },
  deleted: { name: "deleted" },
} as const satisfies Record<string, SandboxState>;
const events = {
  created: { name: "created", pid: 7 },
  failed: { name: "failed" },
  start: { name: "start" },
  stop: { name: "stop", signal: 15 },
  exited: { name: "exited", exit },
  delete: { name: "delete" },
} as const satisfies Record<string, SandboxEvent>;

/** Every pair that is allowed; all others must be refused. */
const allowed: Record<keyof typeof states, Partial<Record<keyof typeof events, keyof typeof states>>> = {
  creating: { created: "created", failed: "deleted", stop: "stopping early" },
  created: { start: "running", stop: "stopping", exited: "stopped" },
  running: { stop: "stopping", exited: "stopped" },
  "stopping early": { created: "stopping", failed: "deleted", stop: "stopping early" },
  stopping: { stop: "stopping", exited: "stopped" },
  stopped: { delete: "deleted" },
  deleted: {},
};

for (const [from, state] of Object.entries(states)) {
  for (const [name, event] of Object.entries(events)) {
    const to = allowed[from as keyof typeof states][name as keyof typeof events];
    test(`${from} + ${name} = ${to ?? "refused"}`, (t) => {
      if (to !== undefined) {
        t.deepEqual(transition("abc", state, event), states[to]);
        return;
      }
      const error = t.throws(() => transition("abc", state, event), { instanceOf: TapirError });
      t.regex(error?.message ?? "", new RegExp(`^cannot .+ sandbox abc: it is ${state.name}`));
      const gone = name === "stop" && (from === "stopped" || from === "deleted");
      t.is(error?.code, gone ? Code.NOT_FOUND : Code.FAILED_PRECONDITION);
    });
  }
}

test("the first signal is the one that is reported", (t) => {
  const stopping = transition("abc", states.running, { name: "stop", signal: 15 });
  t.like(transition("abc", stopping, { name: "stop", signal: 9 }), { signal: 15 });
});
