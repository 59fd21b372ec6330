import test from "ava";
import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import { type ProcessEvent, type ProcessState, processAfter } from "./process.ts";

const exit = { status: 137, exitedAt: new Date(0) };
const later = { status: 0, exitedAt: new Date(1) };
const states = {
  created: { name: "created" },
  starting: { name: "starting" },
  "starting, ended": { name: "starting", exit },
  running: { name: "running" },
  stopped: { name: "stopped", exit },
  deleted: { name: "deleted" },
} as const satisfies Record<string, ProcessState>;
const events = {
  start: { name: "start" },
  started: { name: "started" },
  failed: { name: "failed" },
  exited: { name: "exited", exit },
  delete: { name: "delete" },
} as const satisfies Record<string, ProcessEvent>;

/** Every pair that is allowed; all others must be refused. */
const allowed: Record<keyof typeof states, Partial<Record<keyof typeof events, keyof typeof states>>> = {
  created: { start: "starting", exited: "stopped", delete: "deleted" },
  starting: { started: "running", failed: "created", exited: "starting, ended" },
  "starting, ended": { started: "stopped", failed: "stopped", exited: "starting, ended" },
  running: { exited: "stopped" },
  stopped: { exited: "stopped", delete: "deleted" },
  deleted: { exited: "deleted" },
};

for (const [from, state] of Object.entries(states)) {
  for (const [name, event] of Object.entries(events)) {
    const to = allowed[from as keyof typeof states][name as keyof typeof events];
    test(`${from} + ${name} = ${to ?? "refused"}`, (t) => {
      if (to !== undefined) {
        t.deepEqual(processAfter("exec e", state, event), states[to]);
        return;
      }
      const error = t.throws(() => processAfter("exec e", state, event), { instanceOf: TapirError });
      t.regex(error?.message ?? "", new RegExp(`^cannot .+ exec e: it is ${state.name}`));
      t.is(error?.code, Code.FAILED_PRECONDITION);
    });
  }
}

test("the first end is the true one, during the start, too", (t) => {
  const second = { name: "exited", exit: later } as const;
  for (const state of [states["starting, ended"], states.stopped])
    t.deepEqual(processAfter("exec e", state, second), state);
});
