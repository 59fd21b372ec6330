import { EventEmitter } from "node:events";
import { tmpdir } from "node:os";
import { StatsContainerResponse } from "../../proto/gen/tapir/agent/v1/container.ts";
import type { GuestContainers } from "../../shim/containers-client.ts";
import type { PodGuest } from "../../shim/sandbox/pod.ts";
import type { Ledger } from "../../sys/ledger.ts";

/** A guest that says yes to everything, with nothing behind it; `answers` replace what a test is about. */
export function yesGuest(answers: Partial<GuestContainers> = {}): PodGuest {
  const empty = async (): Promise<Record<string, never>> => ({});
  const over = async (): Promise<never> => Object.assign(new EventEmitter(), endedStream) as never;
  const silent = async (): Promise<never> => Object.assign(new EventEmitter(), silentStream) as never;
  return {
    containers: {
      configurePod: empty,
      addStorage: empty,
      removeStorage: empty,
      createContainer: async () => ({ pid: 1, failure: undefined, ignored: [] }),
      startContainer: empty,
      removeContainer: empty,
      pauseContainer: empty,
      resumeContainer: empty,
      updateContainer: async () => ({ ignored: [] }),
      statsContainer: async () => StatsContainerResponse.fromPartial({}),
      listProcesses: async () => ({ processes: [] }),
      execProcess: async () => ({ pid: 2, failure: undefined }),
      signalProcess: empty,
      waitProcess: () => new Promise(() => undefined),
      removeProcess: empty,
      resizeTerminal: empty,
      closeStdin: empty,
      onlineResources: async () => ({ vcpus: 1, memoryBytes: 0n }),
      stdio: over,
      events: silent,
      portForward: silent,
      ...answers,
    },
    storage: {
      prepare: async () => ({
        storages: [],
        rootfs: { storageId: "root", path: "" },
        mountSources: [],
        deviceSources: [],
        release: async () => undefined,
      }),
    },
    size: sameSize,
    ledger: noLedger,
    limits: { createMs: 5_000, requestMs: 2_000 },
  };
}

/** A VM that has enough for everybody. */
export const sameSize: PodGuest["size"] = {
  limitsOf: () => ({ cpus: 0, memoryBytes: 0 }),
  claim: async () => undefined,
  settle: () => undefined,
  close: () => undefined,
};

/** A stream on which nothing ever comes. */
const silentStream = {
  write: (_message: unknown, done?: () => void): boolean => {
    done?.();
    return true;
  },
  end: () => undefined,
  cancel: () => undefined,
  async *[Symbol.asyncIterator]() {
    await new Promise(() => undefined);
  },
};

/** A stream of a process that has nothing to say. */
const endedStream = {
  ...silentStream,
  async *[Symbol.asyncIterator]() {
    yield* [];
  },
};

const noLedger: Ledger = {
  directory: tmpdir(),
  acquire: async () => {
    throw new Error("there is no ledger here");
  },
  cede: () => undefined,
  unwind: async () => undefined,
  [Symbol.asyncDispose]: async () => undefined,
};
