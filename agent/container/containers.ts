import type {
  CreateContainerRequest,
  CreateContainerResponse,
  ExecProcessRequest,
  ExecProcessResponse,
  ListProcessesResponse,
  SignalProcessRequest,
} from "../../proto/gen/tapir/agent/v1/container.ts";
import type { Deadline } from "../../sys/deadline.ts";
import { TapirError } from "../../sys/error.ts";
import { signalPid } from "../../sys/signal.ts";
import { Code } from "../../sys/status.ts";
import type { Exits, ProcessExit } from "../process/exits.ts";
import type { Process } from "../process/process.ts";
import type { Storages } from "../storage/storages.ts";
import { type Container, newContainer } from "./container.ts";
import { clearContainer, createContainer, type Workshop } from "./create.ts";
import type { Events } from "./events.ts";
import { execProcess } from "./exec.ts";
import type { Pod } from "./pod.ts";
import { startInit } from "./start.ts";
import { initOf } from "./state.ts";

/** The containers of the pod. Calls on one wait for nothing that happens in another. */
export interface Containers {
  create(request: CreateContainerRequest, deadline: Deadline): Promise<CreateContainerResponse>;
  start(id: string, deadline: Deadline): Promise<void>;
  remove(id: string, deadline: Deadline): Promise<void>;
  pause(id: string, deadline: Deadline): Promise<void>;
  resume(id: string, deadline: Deadline): Promise<void>;
  exec(request: ExecProcessRequest, deadline: Deadline): Promise<ExecProcessResponse>;
  removeExec(id: string, execId: string): void;
  signal(request: SignalProcessRequest): void;
  list(id: string): ListProcessesResponse;
  /** Throws NOT_FOUND. */
  get(id: string): Container;
  /** Init for an empty exec id. Throws NOT_FOUND. */
  process(id: string, execId: string): Process;
}

export interface Parts {
  readonly storages: Storages;
  readonly pod: Pod;
  readonly exits: Exits;
  readonly events: Events;
}

const SIGKILL = 9;

export function createContainers({ storages, pod, exits, events }: Parts): Containers {
  const containers = new Map<string, Container>();

  const get = (id: string): Container => {
    const container = containers.get(id);
    if (container === undefined) throw notFound(`container ${id}`);
    return container;
  };
  const process = (id: string, execId: string): Process => {
    const container = get(id);
    const found = execId === "" ? initOf(container.state) : container.execs.get(execId);
    if (found === undefined || found === "starting") throw notFound(nameOf(id, execId));
    return found;
  };
  const tellExit = (container: Container, execId: string, pid: number, exit: ProcessExit): void => {
    // A kill that caused the exit is told before it.
    container.oom?.look();
    const { status: exitStatus, unixNanoseconds: unixTimeNanoseconds } = exit;
    events.tell({ exit: { containerId: container.id, execId, pid, exitStatus, unixTimeNanoseconds } });
  };
  const workshop: Workshop = {
    storages,
    pod,
    exits,
    pidsOf: (id) => `/proc/${running(get(id)).pid}/ns/pid`,
    onOomKill: (container, kills) => events.tell({ oomKill: { containerId: container.id, kills } }),
    onInitExit(container, exit, pid) {
      container.happen({ kind: "exited", exit });
      // In a shared PID namespace the kernel does not end the others with init.
      container.cgroup.kill();
      tellExit(container, "", pid, exit);
    },
  };
  const change = async (
    container: Container,
    [before, after]:
      | readonly ["start", "started"]
      | readonly ["pause", "paused"]
      | readonly ["resume", "resumed"],
    work: () => Promise<void>,
  ): Promise<void> => {
    container.happen({ kind: before });
    try {
      await work();
    } catch (error) {
      if (container.state.kind !== "stopped") container.happen({ kind: "failed" });
      throw error;
    }
    container.happen({ kind: after });
  };

  return {
    get,
    process,
    async create(request, deadline) {
      const { containerId: id } = request;
      if (containers.has(id)) throw taken(`container ${id}`);
      const container = newContainer(id);
      containers.set(id, container);
      const creation = createContainer(container, request, workshop, deadline);
      container.made = creation.then(
        ({ failure }) => {
          if (failure !== undefined) containers.delete(id);
        },
        () => {
          containers.delete(id);
        },
      );
      return creation;
    },
    async start(id, deadline) {
      const container = get(id);
      const run = (): Promise<void> => startInit(id, process(id, ""), deadline);
      await change(container, ["start", "started"], () => container.inTurn(run, deadline));
    },
    async remove(id, deadline) {
      const container = containers.get(id);
      if (container === undefined) return;
      await deadline.race(container.made);
      if (containers.get(id) !== container) return;
      const init = initOf(container.state);
      container.happen({ kind: "remove" });
      container.cgroup.kill();
      if (init !== undefined) await deadline.race(init.exited);
      container.oom?.[Symbol.dispose]();
      await clearContainer(id, storages, deadline);
      init?.io.close();
      for (const one of container.execs.values()) if (one !== "starting") one.io.close();
      containers.delete(id);
    },
    pause: (id, deadline) => {
      const container = get(id);
      return change(container, ["pause", "paused"], () => container.cgroup.freeze(true, deadline));
    },
    resume: (id, deadline) => {
      const container = get(id);
      return change(container, ["resume", "resumed"], () => container.cgroup.freeze(false, deadline));
    },
    exec(request, deadline) {
      const container = get(request.containerId);
      running(container);
      if (container.execs.has(request.execId)) throw taken(nameOf(container.id, request.execId));
      return execProcess(container, request, exits, tellExit, deadline);
    },
    removeExec(id, execId) {
      const found = get(id).execs.get(execId);
      if (found === undefined) return;
      if (found === "starting" || found.exit === undefined) throw stillRuns(nameOf(id, execId));
      found.io.close();
      get(id).execs.delete(execId);
    },
    signal({ containerId: id, execId, signal, all }) {
      const { pid, exit } = process(id, execId);
      const { cgroup } = get(id);
      if (all) {
        if (signal === SIGKILL) cgroup.kill();
        else for (const one of cgroup.pids()) signalUnlessGone(one, signal);
        return;
      }
      if (exit !== undefined) throw notFound(nameOf(id, execId), "it has ended");
      signalPid(pid, signal);
    },
    list(id) {
      const { cgroup, execs, state } = get(id);
      const known = new Map<number, string>();
      const init = initOf(state);
      if (init !== undefined) known.set(init.pid, "");
      for (const [execId, one] of execs)
        if (one !== "starting" && one.exit === undefined) known.set(one.pid, execId);
      return { processes: cgroup.pids().map((pid) => ({ pid, execId: known.get(pid) })) };
    },
  };
}

function running({ id, state }: Container): Process {
  if (state.kind === "running" || state.kind === "starting") return state.init;
  throw new TapirError({
    code: Code.FAILED_PRECONDITION,
    operation: "join",
    object: `container ${id}`,
    cause: `it is ${state.kind}`,
  });
}

/** A process may end between the list and the signal. */
function signalUnlessGone(pid: number, signal: number): void {
  try {
    signalPid(pid, signal);
  } catch (error) {
    if (!(error instanceof TapirError) || error.errno !== "ESRCH") throw error;
  }
}

function nameOf(id: string, execId: string): string {
  return execId === "" ? `container ${id}` : `process ${execId} of container ${id}`;
}

function notFound(object: string, cause = "there is none"): TapirError {
  return new TapirError({ code: Code.NOT_FOUND, operation: "find", object, cause });
}

function taken(object: string): TapirError {
  return new TapirError({ code: Code.ALREADY_EXISTS, operation: "create", object, cause: "there is one" });
}

function stillRuns(object: string): TapirError {
  return new TapirError({
    code: Code.FAILED_PRECONDITION,
    operation: "remove",
    object,
    cause: "it still runs",
  });
}
