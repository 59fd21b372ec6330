import { constants } from "node:os";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import { type ExitRecord, taskPidFile } from "../bundle-files.ts";
import type { Log } from "../log.ts";
import { readSandboxSpec, type SandboxSpec } from "../sandbox/bundle.ts";
import type { CreatedPod, OpenPod, Pod, PodExit, PodGuest } from "../sandbox/pod.ts";
import { type SandboxEvent, type SandboxState, transition } from "../sandbox/state.ts";
import type { Publisher } from "./events.ts";
import { type ExitSlot, openExitSlot } from "./exits.ts";
import { alreadyThere, givenUp, notHere, notNow } from "./failures.ts";
import type { CreateRequest } from "./task.ts";

/**
 * How long the parts of a sandbox's life may take, in milliseconds. The pod's own limits are shorter: to create and to stop it
 * may take what its configuration says, of which this is the most (the key's maximum, stretched by the largest factor).
 */
export const LIMITS = { create: 3600_000 * 100, start: 30_000, stop: 600_000 * 100 } as const;

const { SIGKILL } = constants.signals;

/** The life of the shim's one sandbox: its state, its events, its exit. */
export interface SandboxTask {
  /** True while there is something that must end before the shim may. */
  readonly occupied: boolean;
  /** True while a create is under way. */
  readonly creating: boolean;
  /** Its spec while there is one. */
  readonly spec: SandboxSpec | undefined;
  /** The sandbox with this id. Throws NOT_FOUND. */
  find(id: string): SandboxSnapshot;
  create(request: SandboxRequest, caller: AbortSignal): Promise<number>;
  /** Throws FAILED_PRECONDITION unless the guest is up. */
  guest(): PodGuest;
  start(id: string): Promise<number>;
  /** Begins to end the VM; the exit comes as an event. */
  kill(id: string, signal: number): void;
  wait(id: string): Promise<ExitRecord>;
  /** Forgets a sandbox that has ended; ends one that never ran. Resolves when all is undone. */
  delete(id: string): Promise<ExitRecord>;
  /** Ends whatever there is. */
  abandon(reason: string): Promise<void>;
}

export type SandboxRequest = Pick<CreateRequest, "id" | "bundle" | "configPath">;

export interface SandboxSnapshot {
  readonly bundle: string;
  readonly state: SandboxState;
  /** 0 while there is none. */
  readonly pid: number;
  readonly exit: ExitRecord | undefined;
}

export interface SandboxTaskOptions {
  readonly namespace: string;
  readonly calledAtMs: number;
  readonly openPod: OpenPod;
  readonly publisher: Publisher;
  readonly log: Log;
  /** Called when a pod's configuration asks for debug lines. */
  readonly showDebug: () => void;
  /** Called when the VM is gone, before anybody hears of the sandbox's end. */
  readonly onGone: () => void;
  /** Called when something cannot be undone in this process. */
  readonly onHelpless: (error: unknown) => void;
}

interface Sandbox {
  readonly spec: SandboxSpec;
  readonly pod: Pod;
  /** Nobody is told of the life of a VM that is only there for one container: the container's is told. */
  readonly told: boolean;
  readonly exit: ExitSlot;
  /** Ends a create that is under way. */
  readonly giveUp: AbortController;
  /** Aborted: the create, if it is under way, has been given up by its caller or told to end. */
  readonly givenUp: AbortSignal;
  state: SandboxState;
  guest: PodGuest | undefined;
  /** The create that is under way or was; never rejects. */
  settled: Promise<void>;
  /** Undoing after the VM's end; tried again by Delete when it failed. */
  closing: Promise<void> | undefined;
}

export function openSandboxTask(options: SandboxTaskOptions): SandboxTask {
  const { publisher, log, namespace } = options;
  let current: Sandbox | undefined;

  const sandboxOf = (id: string): Sandbox => {
    if (current?.spec.id === id) return current;
    throw notHere(`container ${id}`);
  };
  const step = (sandbox: Sandbox, event: SandboxEvent): void => {
    sandbox.state = transition(sandbox.spec.id, sandbox.state, event);
  };
  const logFailedUndo = (error: unknown): void => log.error("clean-up is not complete", { error });

  const bringUp = async (sandbox: Sandbox, deadline: Deadline): Promise<number> => {
    const { id, bundle } = sandbox.spec;
    let created: CreatedPod;
    try {
      created = await sandbox.pod.create(deadline);
      taskPidFile.write(bundle, String(created.pid));
    } catch (error) {
      // Create itself has undone what it did; after it, the bundle may have been taken away.
      await sandbox.pod.close().catch(logFailedUndo);
      step(sandbox, { name: "failed" });
      sandbox.exit.abandon(error instanceof Error ? error : new Error(String(error)));
      current = undefined;
      throw error;
    }
    const { pid, exited, guest } = created;
    sandbox.guest = guest;
    step(sandbox, { name: "created", pid });
    if (sandbox.told) publisher.publish("create", { containerId: id, bundle, pid });
    void exited.then((exit) => onExited(sandbox, pid, exit));
    if (sandbox.state.name === "stopping") void endVm(sandbox);
    return pid;
  };

  const onExited = (sandbox: Sandbox, pid: number, { status, reason }: PodExit): void => {
    const asked = sandbox.state.name === "stopping" ? 128 + sandbox.state.signal : undefined;
    const exitedAt = new Date();
    step(sandbox, { name: "exited", exit: { status: asked ?? status, exitedAt } });
    const record = { pid, status: asked ?? status, exitedAtMs: exitedAt.getTime() };
    if (asked === undefined) log.warn("the VM ended by itself", { status, reason });
    options.onGone();
    if (sandbox.exit.settle(record) && sandbox.told) {
      const { id } = sandbox.spec;
      // Before the slow part: whoever waits for the end shall not wait for the clean-up.
      publisher.publish("exit", { containerId: id, id, pid, exitStatus: record.status, exitedAt });
    }
    sandbox.closing = sandbox.pod.close();
    sandbox.closing.catch(logFailedUndo);
  };

  const endVm = async (sandbox: Sandbox): Promise<void> => {
    try {
      await sandbox.pod.stop(deadlineIn(LIMITS.stop, `stop sandbox ${sandbox.spec.id}`));
    } catch (error) {
      log.error("the VM does not stop; undoing everything", { error });
      await sandbox.pod.close().catch(logFailedUndo);
    }
  };

  const kill = (sandbox: Sandbox, signal: number): void => {
    const before = sandbox.state.name;
    step(sandbox, { name: "stop", signal });
    if (before === "creating") sandbox.giveUp.abort(givenUp(`sandbox ${sandbox.spec.id}`));
    // A second SIGTERM adds nothing, a SIGKILL does.
    else if (before !== "stopping" || signal === SIGKILL) void endVm(sandbox);
  };

  return {
    get occupied() {
      return current !== undefined;
    },
    get creating() {
      return current !== undefined && comingUp(current.state);
    },
    get spec() {
      return current?.spec;
    },
    find(id) {
      const { spec, state, exit } = sandboxOf(id);
      const pid = "pid" in state ? (state.pid ?? 0) : 0;
      return { bundle: spec.bundle, state, pid, exit: exit.record };
    },
    async create({ id, bundle, configPath }, caller) {
      // Whoever lost a Create and tries again need not wait itself until the first one is undone.
      if (current?.givenUp.aborted === true && comingUp(current.state)) await current.settled;
      if (current !== undefined) throw alreadyThere(`container ${id}`, `it is ${current.state.name}`);
      const { calledAtMs, openPod, showDebug, onHelpless } = options;
      const spec = readSandboxSpec(id, namespace, bundle);
      const told = spec.kind === "sandbox";
      const giveUp = new AbortController();
      const sandbox: Sandbox = {
        spec,
        // The owner is there before anything is acquired: whatever fails, somebody can undo it.
        pod: openPod({ spec, configPath, calledAtMs, log, showDebug, onHelpless }),
        told,
        exit: openExitSlot(told ? bundle : undefined),
        giveUp,
        givenUp: AbortSignal.any([caller, giveUp.signal]),
        state: { name: "creating" },
        guest: undefined,
        settled: Promise.resolve(),
        closing: undefined,
      };
      current = sandbox;
      const limit = deadlineIn(LIMITS.create, `create sandbox ${id}`, sandbox.givenUp);
      const creating = bringUp(sandbox, limit);
      sandbox.settled = creating.then(
        () => undefined,
        () => undefined,
      );
      return creating;
    },
    guest() {
      const { guest, state, spec } = current ?? {};
      if (guest !== undefined && (state?.name === "created" || state?.name === "running")) return guest;
      throw notNow("use", `sandbox ${spec?.id ?? ""}`, `it is ${state?.name ?? "deleted"}`);
    },
    async start(id) {
      const sandbox = sandboxOf(id);
      // Refused before anything is done, and again if the VM ended meanwhile.
      transition(id, sandbox.state, { name: "start" });
      await sandbox.pod.start(deadlineIn(LIMITS.start, `start sandbox ${id}`));
      step(sandbox, { name: "start" });
      const pid = sandbox.state.name === "running" ? sandbox.state.pid : 0;
      if (sandbox.told) publisher.publish("start", { containerId: id, pid });
      return pid;
    },
    kill: (id, signal) => kill(sandboxOf(id), signal),
    wait: async (id) => sandboxOf(id).exit.wait,
    async delete(id) {
      const sandbox = sandboxOf(id);
      // What never ran is ended here; what runs must be told to end first.
      const neverRan = comingUp(sandbox.state) || sandbox.state.name === "created";
      if (neverRan) kill(sandbox, SIGKILL);
      await sandbox.settled;
      // Not created: there is nothing. Created after all: its end is on the way.
      if (current !== sandbox) throw notHere(`container ${id}`);
      if (neverRan) await sandbox.exit.wait;
      transition(id, sandbox.state, { name: "delete" });
      await sandbox.closing?.catch(() => {
        sandbox.closing = sandbox.pod.close();
        return sandbox.closing;
      });
      const record = await sandbox.exit.wait;
      step(sandbox, { name: "delete" });
      current = undefined;
      const { pid, status, exitedAtMs } = record;
      const exitedAt = new Date(exitedAtMs);
      if (sandbox.told) publisher.publish("delete", { containerId: id, pid, exitStatus: status, exitedAt });
      return record;
    },
    async abandon(reason) {
      const sandbox = current;
      if (sandbox === undefined) return;
      log.info("ending the sandbox", { reason, state: sandbox.state.name });
      if (sandbox.state.name !== "stopped") kill(sandbox, SIGKILL);
      await sandbox.settled;
      if (current !== sandbox) return;
      await sandbox.exit.wait;
      await sandbox.closing;
    },
  };
}

function comingUp(state: SandboxState): boolean {
  return state.name === "creating" || (state.name === "stopping" && state.pid === undefined);
}
