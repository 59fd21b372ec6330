import { deadlineIn } from "../../sys/deadline.ts";
import type { ExitRecord } from "../bundle-files.ts";
import { guestExit } from "../guest-bounds.ts";
import { alreadyThere, commandFailed, notHere } from "./failures.ts";
import type { TaskProcess } from "./process.ts";
import type { ExecRequest } from "./task.ts";
import { asking, KILLED, type Workload, workloadProcess } from "./workload.ts";

/** The processes that run in a container besides its init. */
export interface Execs {
  /** Throws NOT_FOUND. */
  find(execId: string): TaskProcess;
  /** Announces one; throws ALREADY_EXISTS. */
  add(request: ExecRequest): void;
  start(execId: string): Promise<void>;
  /** Forgets one that has ended or never ran. */
  delete(execId: string): Promise<ExitRecord>;
  /** All are lost with their VM. */
  vmGone(): void;
  /** Resolves when all have ended, which is helped along: init is gone. */
  ended(): Promise<void>;
  /** Closes the streams of all. */
  close(): Promise<void>;
}

/** Exit status of an exec that never ran, and not because of its command. */
const NOT_RUN = 255;
const SIGKILL = 9;
/** After init, what is left of a container has this long to end by itself, and then after SIGKILL. */
const REST_MS = 500;
const KILL_MS = 3_000;

interface Exec {
  readonly process: TaskProcess;
  readonly request: ExecRequest;
}

export function openExecs(workload: Workload): Execs {
  const { id, pid, guest, publisher } = workload;
  const execs = new Map<string, Exec>();
  const entry = (execId: string): Exec => {
    const found = execs.get(execId);
    if (found === undefined) throw notHere(`exec ${execId} of container ${id}`);
    return found;
  };

  const runInGuest = async ({ process, request }: Exec): Promise<void> => {
    const { execId } = request;
    await process.open();
    const { failure } = await guest.containers.execProcess(
      { containerId: id, execId, process: Buffer.from(request.process), stdio: process.setup },
      deadlineIn(guest.limits.createMs, `start ${process.object}`),
    );
    if (failure === undefined) return process.attach();
    process.end(guestExit(failure.exitStatus));
    throw commandFailed(process.object, failure);
  };

  return {
    find: (execId) => entry(execId).process,
    add(request) {
      const { execId, stdio } = request;
      if (execs.has(execId)) throw alreadyThere(`exec ${execId} of container ${id}`, "there is one");
      const process = workloadProcess(workload, execId, stdio, async () => undefined);
      execs.set(execId, { process, request });
      publisher.publish("execAdded", { containerId: id, execId });
    },
    async start(execId) {
      const exec = entry(execId);
      const { process } = exec;
      const isFirst = process.state.name === "created";
      try {
        await process.start(
          () => runInGuest(exec),
          () => publisher.publish("execStarted", { containerId: id, execId, pid }),
        );
      } catch (error) {
        // Nobody starts it again, so whoever waits for its end must hear of one.
        if (isFirst) {
          process.end(NOT_RUN);
          await process.close();
        }
        throw error;
      }
    },
    async delete(execId) {
      const { process } = entry(execId);
      const ran = process.state.name === "stopped";
      process.forget();
      execs.delete(execId);
      await process.close();
      if (!ran) return { pid, status: NOT_RUN, exitedAtMs: Date.now() };
      await guest.containers
        .removeProcess({ containerId: id, execId }, asking(workload, "remove a process of"))
        .catch((error: unknown) => workload.log.debug("exec not forgotten by the guest", { execId, error }));
      return process.exit.wait;
    },
    vmGone() {
      for (const { process } of execs.values()) process.vmGone();
    },
    async ended() {
      const running = [...execs.values()].map(({ process }) => process).filter(isAlive);
      if (running.length === 0) return;
      const ends = Promise.all(running.map(({ exit }) => exit.wait));
      const within = async (milliseconds: number): Promise<boolean> => {
        const deadline = deadlineIn(milliseconds, `end the rest of container ${id}`);
        return deadline.race(ends).then(
          () => true,
          () => false,
        );
      };
      if (await within(REST_MS)) return;
      const everything = { containerId: id, execId: "", signal: SIGKILL, all: true };
      await guest.containers
        .signalProcess(everything, asking(workload, "kill the rest of"))
        .catch(() => undefined);
      if (await within(KILL_MS)) return;
      for (const process of running) process.end(KILLED);
    },
    async close() {
      await Promise.all([...execs.values()].map(({ process }) => process.close()));
    },
  };
}

function isAlive({ state }: TaskProcess): boolean {
  return state.name === "starting" || state.name === "running";
}
