import { constants } from "node:os";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import { type ExitRecord, taskPidFile } from "../bundle-files.ts";
import type { Log } from "../log.ts";
import { readSandboxSpec, type SandboxSpec } from "../sandbox/bundle.ts";
import type { CreatedPod, OpenPod, Pod, PodExit } from "../sandbox/pod.ts";
import { type SandboxEvent, type SandboxState, transition } from "../sandbox/state.ts";
import type { Publisher } from "./events.ts";
import { type ExitSlot, openExitSlot } from "./exits.ts";

/** How long the parts of a sandbox's life may take, in milliseconds. The pod's own limits are usually shorter. */
const LIMITS = { create: 300_000, start: 30_000, stop: 15_000, kill: 3_000 } as const;

const { SIGKILL } = constants.signals;

/** A sandbox container as containerd's Task: its state, its events, its exit. One per shim. */
export interface SandboxTask {
  /** True while there is something that must end before the shim may. */
  readonly occupied: boolean;
  /** True while a create is under way. */
  readonly creating: boolean;
  /** The sandbox with this id. Throws NOT_FOUND. */
  find(id: string): TaskSnapshot;
  create(request: CreateRequest, caller: AbortSignal): Promise<number>;
  start(id: string): Promise<number>;
  /** Begins to end the VM; the exit comes as an event. */
  kill(id: string, signal: number): void;
  wait(id: string): Promise<ExitRecord>;
  /** Forgets a sandbox that has ended; ends one that never ran. Resolves when all is undone. */
  delete(id: string): Promise<ExitRecord>;
  /** Ends whatever there is. */
  abandon(reason: string): Promise<void>;
}

export interface CreateRequest {
  readonly id: string;
  readonly bundle: string;
  /** `ConfigPath` of the runtime options, or "". */
  readonly configPath: string;
}

export interface TaskSnapshot {
  readonly id: string;
  readonly bundle: string;
  readonly state: SandboxState;
  /** 0 while there is none. */
  readonly pid: number;
}

export interface SandboxTaskOptions {
  readonly namespace: string;
  readonly calledAtMs: number;
  readonly openPod: OpenPod;
  readonly publisher: Publisher;
  readonly log: Log;
}

interface Task {
  readonly spec: SandboxSpec;
  readonly pod: Pod;
  readonly exit: ExitSlot;
  /** Ends a create that is under way. */
  readonly giveUp: AbortController;
  state: SandboxState;
  /** The create that is under way or was; never rejects. */
  settled: Promise<void>;
  /** Undoing after the VM's end; tried again by Delete when it failed. */
  closing: Promise<void> | undefined;
}

export function openSandboxTask(options: SandboxTaskOptions): SandboxTask {
  const { publisher, log, namespace } = options;
  let current: Task | undefined;

  const taskOf = (id: string): Task => {
    if (current?.spec.id === id) return current;
    throw notFound(id);
  };
  const step = (task: Task, event: SandboxEvent): void => {
    task.state = transition(task.spec.id, task.state, event);
  };

  const bringUp = async (task: Task, deadline: Deadline): Promise<number> => {
    const { id, bundle } = task.spec;
    let created: CreatedPod;
    try {
      created = await task.pod.create(deadline);
      taskPidFile.write(bundle, String(created.pid));
    } catch (error) {
      // Create itself has undone what it did; after it, the bundle may have been taken away.
      await task.pod
        .close()
        .catch((failure: unknown) => log.error("clean-up is not complete", { error: failure }));
      step(task, { name: "failed" });
      task.exit.abandon(error instanceof Error ? error : new Error(String(error)));
      current = undefined;
      throw error;
    }
    step(task, { name: "created", pid: created.pid });
    publisher.publish("create", { containerId: id, bundle, pid: created.pid });
    void created.exited.then((exit) => onExited(task, created.pid, exit));
    if (task.state.name === "stopping") void endVm(task, task.state.signal);
    return created.pid;
  };

  const onExited = (task: Task, pid: number, { status, reason }: PodExit): void => {
    const asked = task.state.name === "stopping" ? 128 + task.state.signal : undefined;
    const exitedAt = new Date();
    step(task, { name: "exited", exit: { status: asked ?? status, exitedAt } });
    const record = { pid, status: asked ?? status, exitedAtMs: exitedAt.getTime() };
    if (asked === undefined) log.warn("the VM ended by itself", { status, reason });
    if (task.exit.settle(record)) {
      const { id } = task.spec;
      // Before the slow part: whoever waits for the end shall not wait for the clean-up.
      publisher.publish("exit", { containerId: id, id, pid, exitStatus: record.status, exitedAt });
    }
    task.closing = task.pod.close();
    task.closing.catch((error: unknown) => log.error("clean-up is not complete", { error }));
  };

  const endVm = async (task: Task, signal: number): Promise<void> => {
    const limit = signal === SIGKILL ? LIMITS.kill : LIMITS.stop;
    try {
      await task.pod.stop(deadlineIn(limit, `stop sandbox ${task.spec.id}`));
    } catch (error) {
      log.error("the VM does not stop; undoing everything", { error });
      await task.pod
        .close()
        .catch((failure: unknown) => log.error("clean-up is not complete", { error: failure }));
    }
  };

  const kill = (task: Task, signal: number): void => {
    const before = task.state.name;
    step(task, { name: "stop", signal });
    if (before === "creating") task.giveUp.abort(toldToStop(task.spec.id));
    // A second SIGTERM adds nothing, a SIGKILL does.
    else if (before !== "stopping" || signal === SIGKILL) void endVm(task, signal);
  };

  return {
    get occupied() {
      return current !== undefined;
    },
    get creating() {
      return current !== undefined && comingUp(current.state);
    },
    find(id) {
      const { spec, state } = taskOf(id);
      return { id, bundle: spec.bundle, state, pid: "pid" in state ? (state.pid ?? 0) : 0 };
    },
    async create(request, caller) {
      if (current !== undefined) throw taken(request.id, current);
      const { calledAtMs, openPod } = options;
      const spec = readSandboxSpec(request.id, namespace, request.bundle);
      const task: Task = {
        spec,
        // The owner is there before anything is acquired: whatever fails, somebody can undo it.
        pod: openPod({ spec, configPath: request.configPath, calledAtMs, log }),
        exit: openExitSlot(spec.bundle),
        giveUp: new AbortController(),
        state: { name: "creating" },
        settled: Promise.resolve(),
        closing: undefined,
      };
      current = task;
      const ended = AbortSignal.any([caller, task.giveUp.signal]);
      const creating = bringUp(task, deadlineIn(LIMITS.create, `create sandbox ${spec.id}`, ended));
      task.settled = creating.then(
        () => undefined,
        () => undefined,
      );
      return creating;
    },
    async start(id) {
      const task = taskOf(id);
      // Refused before anything is done, and again if the VM ended meanwhile.
      transition(id, task.state, { name: "start" });
      await task.pod.start(deadlineIn(LIMITS.start, `start sandbox ${id}`));
      step(task, { name: "start" });
      const pid = task.state.name === "running" ? task.state.pid : 0;
      publisher.publish("start", { containerId: id, pid });
      return pid;
    },
    kill: (id, signal) => kill(taskOf(id), signal),
    wait: async (id) => taskOf(id).exit.wait,
    async delete(id) {
      const task = taskOf(id);
      // What never ran is ended here; what runs must be told to end first.
      const neverRan = comingUp(task.state) || task.state.name === "created";
      if (neverRan) kill(task, SIGKILL);
      await task.settled;
      // Not created: there is nothing. Created after all: its end is on the way.
      if (current !== task) throw notFound(id);
      if (neverRan) await task.exit.wait;
      transition(id, task.state, { name: "delete" });
      await task.closing?.catch(() => {
        task.closing = task.pod.close();
        return task.closing;
      });
      const record = await task.exit.wait;
      step(task, { name: "delete" });
      current = undefined;
      const { pid, status, exitedAtMs } = record;
      publisher.publish("delete", {
        containerId: id,
        pid,
        exitStatus: status,
        exitedAt: new Date(exitedAtMs),
      });
      return record;
    },
    async abandon(reason) {
      const task = current;
      if (task === undefined) return;
      log.info("ending the sandbox", { reason, state: task.state.name });
      if (task.state.name !== "stopped") kill(task, SIGKILL);
      await task.settled;
      if (current !== task) return;
      await task.exit.wait;
      await task.closing;
    },
  };
}

function notFound(id: string): TapirError {
  return new TapirError({
    code: Code.NOT_FOUND,
    operation: "find",
    object: `container ${id}`,
    cause: "it is not here",
  });
}

function comingUp(state: SandboxState): boolean {
  return state.name === "creating" || (state.name === "stopping" && state.pid === undefined);
}

function taken(id: string, task: Task): TapirError {
  if (task.spec.id === id) {
    return new TapirError({
      code: Code.ALREADY_EXISTS,
      operation: "create",
      object: `container ${id}`,
      cause: `it is ${task.state.name}`,
    });
  }
  return new TapirError({
    code: Code.UNIMPLEMENTED,
    operation: "create",
    object: `container ${id} in sandbox ${task.spec.id}`,
    cause: "workload containers are not implemented yet",
  });
}

function toldToStop(id: string): TapirError {
  return new TapirError({
    code: Code.CANCELLED,
    operation: "create",
    object: `sandbox ${id}`,
    cause: "it was told to stop while it was starting",
  });
}
