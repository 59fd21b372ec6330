import { type ExitRecord, taskPidFile } from "../bundle-files.ts";
import { checkTakesProcess } from "../sandbox/container.ts";
import type { ProcessState } from "../sandbox/process.ts";
import { createInGuest, type GuestContainer } from "./create-container.ts";
import { ENDING_SIGNALS } from "./ending-signals.ts";
import { openExecs } from "./execs.ts";
import { givenUp, notHere, notNow } from "./failures.ts";
import { openFreezer } from "./freezer.ts";
import { heardOrGone, openObedience } from "./obedience.ts";
import type { CreateRequest, ProcessStatus, Task } from "./task.ts";
import { updateInGuest } from "./update-container.ts";
import { asking, KILLED, type Workload, workloadProcess } from "./workload.ts";

/** A container in a pod's guest. */
export interface ContainerTask extends Task {
  /** Makes it in the guest; to be called once. When it rejects, nothing of it stays. */
  create(caller: AbortSignal): Promise<number>;
  /** Resolves, never rejects, once `create` has ended. */
  readonly settled: Promise<void>;
  /** Resolves with the end of its init process, once its output is where it belongs. */
  readonly finished: Promise<ExitRecord>;
  /** The guest's kernel has killed one of its processes for lack of memory. */
  outOfMemory(): void;
  /** The VM is gone, and every process with it. */
  vmGone(): void;
}

const SIGKILL = 9;
const OOM_APART_MS = 1_000;

/** A container that is not made yet. Nothing is held while the guest is asked: each verb waits for its own answer only. */
export function openContainerTask(workload: Workload, request: CreateRequest): ContainerTask {
  const { id, bundle, pid, guest, publisher, log } = workload;
  const settled = Promise.withResolvers<void>();
  const finished = Promise.withResolvers<ExitRecord>();
  let made: GuestContainer | undefined;
  let creating = true;
  let toldToEnd = false;
  let guestIsGone = false;
  /** When it was last told, by the process's clock; undefined: never. */
  let oomToldMs: number | undefined;

  const outOfMemory = (): void => {
    const nowMs = performance.now();
    // A guest that repeats itself must not push exits out of the queue.
    if (oomToldMs !== undefined && nowMs - oomToldMs < OOM_APART_MS) return;
    oomToldMs = nowMs;
    publisher.publish("oom", { containerId: id });
  };
  const execs = openExecs(workload);
  const obedience = openObedience(workload);
  const init = workloadProcess(workload, "", request.stdio, async (oomKilled) => {
    if (oomKilled && oomToldMs === undefined) outOfMemory();
    await execs.ended();
  });
  const freezer = openFreezer(workload, () => init.state.name);
  const find = (execId: string) => (execId === "" ? init : execs.find(execId));
  const signal = async (execId: string, number: number, all: boolean): Promise<void> => {
    const request = { containerId: id, execId, signal: number, all: all && execId === "" };
    await guest.containers.signalProcess(request, asking(workload, "signal"));
  };
  const vmGone = (): void => {
    guestIsGone = true;
    if (creating) return;
    execs.vmGone();
    init.vmGone();
  };

  /** What never ran is ended here; what runs must be told to end first. */
  const endUnstarted = async (): Promise<void> => {
    if (init.state.name !== "created") return;
    await signal("", SIGKILL, true).catch(() => undefined);
    init.end(KILLED);
  };
  const deleteContainer = async (): Promise<ExitRecord> => {
    if (creating) {
      toldToEnd = true;
      await settled.promise;
      throw notHere(`container ${id}`);
    }
    await endUnstarted();
    if (init.state.name !== "stopped") {
      throw notNow("delete", init.object, `it is ${init.state.name}`, "stop it first");
    }
    await Promise.all([init.close(), execs.close()]);
    await made?.remove(guestIsGone);
    const record = await init.exit.wait;
    init.forget();
    const { status, exitedAtMs } = record;
    publisher.publish("delete", { containerId: id, pid, exitStatus: status, exitedAt: new Date(exitedAtMs) });
    return record;
  };

  return {
    id,
    settled: settled.promise,
    finished: finished.promise,
    outOfMemory,
    vmGone,
    async create(caller) {
      const isWanted = (): boolean => !toldToEnd && !caller.aborted;
      try {
        made = await createInGuest(workload, request, init, obedience, isWanted);
        if (!isWanted()) {
          await made.remove(guestIsGone).catch((error: unknown) => log.warn("not removed", { error }));
          await init.close();
          throw givenUp(`container ${id}`);
        }
        taskPidFile.write(bundle, String(pid));
      } catch (error) {
        // A containerd that was restarted meanwhile may have found the container, and waits for its end.
        init.exit.abandon(error instanceof Error ? error : new Error(String(error)));
        throw error;
      } finally {
        creating = false;
        settled.resolve();
      }
      const rootfs = request.rootfs.map((mount) => ({ ...mount, options: [...mount.options] }));
      publisher.publish("create", { containerId: id, bundle, rootfs, io: request.stdio, pid });
      init.attach();
      void init.exit.wait.then(async (record) => {
        await init.close();
        finished.resolve(record);
      });
      if (guestIsGone) vmGone();
      return pid;
    },
    snapshot(execId) {
      const { state, stdio, exit } = find(execId);
      const frozen = freezer.freezing === "frozen" || freezer.freezing === "thawing";
      const running = freezer.freezing === "freezing" ? "pausing" : frozen ? "paused" : "running";
      const status = creating ? "creating" : statusOf(state, running);
      return { bundle, pid: creating ? 0 : pid, status, stdio, exit: exit.record };
    },
    pids: () => (creating || init.state.name === "stopped" ? [] : [pid]),
    async start(execId) {
      if (creating) throw notNow("start", find(execId).object, "it is creating");
      if (execId !== "") {
        checkTakesProcess(id, { freezing: freezer.freezing, init: init.state.name });
        await execs.start(execId);
        return pid;
      }
      await init.start(
        async () => {
          await guest.containers.startContainer({ containerId: id }, asking(workload, "start"));
        },
        () => publisher.publish("start", { containerId: id, pid }),
      );
      return pid;
    },
    async exec(exec) {
      checkTakesProcess(id, { freezing: freezer.freezing, init: creating ? "created" : init.state.name });
      execs.add(exec);
    },
    async kill(execId, number, all) {
      const { object, state, exit } = find(execId);
      if (creating) {
        // Nothing is there yet that could get another signal.
        if (ENDING_SIGNALS.has(number)) toldToEnd = true;
        return;
      }
      if (isOver(state)) throw notHere(object, "it has ended");
      if (execId !== "" && state.name === "created") throw notNow("signal", object, "it has not started");
      if (number === 0) return;
      const signalling = heardOrGone(signal(execId, number, all), exit.wait);
      // A frozen process may die once it is thawed.
      const mustEnd = number === SIGKILL && execId === "" && freezer.freezing === "thawed";
      await (mustEnd ? obedience.kill(signalling, init.exit.wait) : signalling);
    },
    wait: async (execId) => find(execId).exit.wait,
    delete: async (execId) => (execId === "" ? deleteContainer() : execs.delete(execId)),
    pause: freezer.pause,
    resume: freezer.resume,
    async update(resources) {
      const { name } = init.state;
      if (creating || isOver(init.state)) {
        throw notNow("update", `container ${id}`, `it is ${creating ? "creating" : name}`);
      }
      await updateInGuest(workload, resources);
    },
    async stats() {
      // As runc's shim says it: who collects counters passes over what has none.
      if (creating || isOver(init.state)) throw notHere(`container ${id}`, "it has no counters now");
      return guest.containers.statsContainer({ containerId: id }, asking(workload, "read the counters of"));
    },
    closeStdin: (execId) => find(execId).closeStdin(),
    async resize(execId, size) {
      const process = find(execId);
      if (!process.stdio.terminal) throw notNow("resize", process.object, "it has no terminal");
      await process.resize(size);
    },
  };
}

function isOver({ name }: ProcessState): boolean {
  return name === "stopped" || name === "deleted";
}

function statusOf(state: ProcessState, running: ProcessStatus): ProcessStatus {
  switch (state.name) {
    case "created":
    case "starting":
      return "created";
    case "running":
      return running;
    case "stopped":
    case "deleted":
      return "stopped";
  }
}
