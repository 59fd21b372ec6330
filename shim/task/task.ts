import type { StatsContainerResponse } from "../../proto/gen/tapir/agent/v1/container.ts";
import type { ExitRecord } from "../bundle-files.ts";
import type { RootfsMount } from "../sandbox/workload-storage.ts";
import type { StdioAddresses } from "../stdio/open.ts";

/** What containerd's Create says of a container. */
export interface CreateRequest {
  readonly id: string;
  readonly bundle: string;
  /** `ConfigPath` of the runtime options, or "". */
  readonly configPath: string;
  readonly rootfs: readonly RootfsMount[];
  readonly stdio: StdioAddresses;
}

export interface ExecRequest {
  readonly execId: string;
  /** An OCI process as JSON. */
  readonly process: Uint8Array;
  readonly stdio: StdioAddresses;
}

export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

export type ProcessStatus = "creating" | "created" | "running" | "stopped" | "pausing" | "paused";

/** A process as containerd asks for it. */
export interface ProcessSnapshot {
  readonly bundle: string;
  /** 0 while there is none. */
  readonly pid: number;
  readonly status: ProcessStatus;
  readonly stdio: StdioAddresses;
  /** Once it has ended. */
  readonly exit: ExitRecord | undefined;
}

/**
 * A container as containerd's Task. An empty exec id is the container's init process. What is asked of a process that
 * is not there is NOT_FOUND, what cannot happen now FAILED_PRECONDITION.
 */
export interface Task {
  readonly id: string;
  /** Asks nobody: answers at once, whatever hangs. */
  snapshot(execId: string): ProcessSnapshot;
  /** Pids of the host. Asks nobody. */
  pids(): readonly number[];
  start(execId: string): Promise<number>;
  exec(request: ExecRequest): Promise<void>;
  /** `all`: every process of the container. */
  kill(execId: string, signal: number, all: boolean): Promise<void>;
  wait(execId: string): Promise<ExitRecord>;
  /** Forgets what has ended; ends what never ran. */
  delete(execId: string): Promise<ExitRecord>;
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** `linux.resources` of an OCI spec as JSON. */
  update(resources: Uint8Array): Promise<void>;
  stats(): Promise<StatsContainerResponse>;
  closeStdin(execId: string): void;
  resize(execId: string, size: TerminalSize): Promise<void>;
}
