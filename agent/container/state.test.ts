import test from "ava";
import type { Process } from "../process/process.ts";
import { type ContainerEvent, type ContainerState, nextState } from "./state.ts";

const init = { pid: 7 } as Process;
const exit = { status: 1, unixNanoseconds: 0n };

/** The kinds of state that a list of events leads through. */
function walk(...events: ContainerEvent[]): string[] {
  let state: ContainerState = { kind: "creating" };
  return events.map((event) => {
    state = nextState(state, event, "c");
    return state.kind;
  });
}

const created: ContainerEvent = { kind: "created", init };
const exited: ContainerEvent = { kind: "exited", exit };

test("the usual life", (t) => {
  t.deepEqual(
    walk(
      created,
      { kind: "start" },
      { kind: "started" },
      { kind: "pause" },
      { kind: "paused" },
      { kind: "resume" },
      { kind: "resumed" },
      exited,
      { kind: "remove" },
    ),
    ["created", "starting", "running", "pausing", "paused", "resuming", "running", "stopped", "removing"],
  );
});

test("a step that fails leads back to where it began", (t) => {
  t.deepEqual(walk(created, { kind: "start" }, { kind: "failed" }), ["created", "starting", "created"]);
  const running: ContainerEvent[] = [created, { kind: "start" }, { kind: "started" }];
  t.is(walk(...running, { kind: "pause" }, { kind: "failed" }).at(-1), "running");
  t.is(
    walk(...running, { kind: "pause" }, { kind: "paused" }, { kind: "resume" }, { kind: "failed" }).at(-1),
    "paused",
  );
});

test("it may end at any step, and the step's own end then changes nothing", (t) => {
  t.is(walk(created, exited).at(-1), "stopped");
  t.is(walk(created, { kind: "start" }, exited, { kind: "started" }).at(-1), "stopped");
  t.is(
    walk(created, { kind: "start" }, { kind: "started" }, { kind: "pause" }, exited, { kind: "failed" }).at(
      -1,
    ),
    "stopped",
  );
  t.is(walk(exited, created).at(-1), "created", "the exit that came before crun was through");
});

test("it can be removed at any time, and stays removed", (t) => {
  t.is(walk({ kind: "remove" }).at(-1), "removing");
  t.is(walk(created, { kind: "remove" }, exited, { kind: "remove" }).at(-1), "removing");
});

test("what a state does not allow names both", (t) => {
  const refused: [ContainerEvent[], RegExp][] = [
    [[{ kind: "start" }], /cannot start container c: it is creating/],
    [[created, { kind: "pause" }], /cannot pause container c: it is created/],
    [[created, { kind: "start" }, { kind: "start" }], /it is starting/],
    [
      [created, { kind: "start" }, { kind: "started" }, { kind: "resume" }],
      /cannot resume container c: it is running/,
    ],
    [[created, exited, { kind: "start" }], /cannot start container c: it is stopped/],
    [[created, exited, { kind: "pause" }], /it is stopped/],
  ];
  for (const [events, message] of refused) t.throws(() => walk(...events), { message });
});
