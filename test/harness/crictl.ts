import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import type { Deadline } from "../../sys/deadline.ts";
import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import { type RunResult, run } from "./run.ts";

/** A PodSandboxConfig of the CRI as crictl reads it; only the fields the tests set. */
export interface PodConfig {
  readonly metadata: { name: string; namespace: string; uid: string; attempt: number };
  readonly hostname?: string;
  readonly dns_config?: { servers?: string[]; searches?: string[]; options?: string[] };
  readonly annotations?: Record<string, string>;
  readonly labels?: Record<string, string>;
  readonly linux?: {
    cgroup_parent?: string;
    sysctls?: Record<string, string>;
    /** Network 2: the node's. */
    security_context?: { privileged?: boolean; namespace_options?: { network?: number } };
  };
}

/** What `crictl inspectp` says, as far as tests look at it. */
export interface PodStatus {
  readonly id: string;
  readonly state: string;
  /** Main address first. */
  readonly addresses: readonly string[];
  readonly pid: number;
  readonly netnsPath: string;
  readonly runtimeHandler: string;
}

export interface Crictl {
  /** The words before a sub-command when a person types it. */
  readonly line: string;
  /** Starts the pod that a file describes and returns its id. */
  runpFile(path: string, runtime: string, deadline: Deadline): Promise<string>;
  /** Starts a pod and returns its id. */
  runp(config: PodConfig, runtime: string, deadline: Deadline): Promise<string>;
  stopp(id: string, deadline: Deadline): Promise<void>;
  rmp(id: string, deadline: Deadline): Promise<void>;
  inspectp(id: string, deadline: Deadline): Promise<PodStatus>;
  /** Ids of all pods, whatever their state. */
  pods(deadline: Deadline): Promise<string[]>;
  /** Any other sub-command; every exit code is a result. */
  run(args: readonly string[], deadline: Deadline): Promise<RunResult>;
  /** Resolves when the CRI answers. */
  ready(deadline: Deadline): Promise<void>;
}

/** crictl at `binary`, speaking to the containerd at `socket`; pod configurations are written into `directory`. */
export function crictl(binary: string, socket: string, directory: string): Crictl {
  const endpoint = `unix://${socket}`;
  const call = (args: readonly string[], deadline: Deadline): Promise<RunResult> => {
    const timeout = `${Math.max(1, Math.ceil(deadline.remainingMs() / 1000))}s`;
    const flags = ["--runtime-endpoint", endpoint, "--image-endpoint", endpoint, "--timeout", timeout];
    return run({ command: binary, args: [...flags, ...args], deadline });
  };
  const callOk = async (args: readonly string[], deadline: Deadline): Promise<string> => {
    const { exitCode, stdout, stderr } = await call(args, deadline);
    if (exitCode === 0) return stdout.trim();
    const cause = stderr.trim().slice(-4000);
    throw new TapirError({ code: Code.UNKNOWN, operation: "run", object: `crictl ${args.join(" ")}`, cause });
  };
  let configs = 0;
  return {
    line: `${binary} --runtime-endpoint ${endpoint} --image-endpoint ${endpoint}`,
    run: call,
    runpFile: (path, runtime, deadline) => callOk(["runp", "--runtime", runtime, path], deadline),
    async runp(config, runtime, deadline) {
      const path = join(directory, `pod-${config.metadata.name}-${configs++}.json`);
      writeFileSync(path, JSON.stringify(config));
      return await callOk(["runp", "--runtime", runtime, path], deadline);
    },
    async stopp(id, deadline) {
      await callOk(["stopp", id], deadline);
    },
    async rmp(id, deadline) {
      await callOk(["rmp", "--force", id], deadline);
    },
    async inspectp(id, deadline) {
      return podStatus(await callOk(["inspectp", "--output", "json", id], deadline));
    },
    async pods(deadline) {
      const ids = await callOk(["pods", "--quiet", "--no-trunc"], deadline);
      return ids.split("\n").filter((id) => id !== "");
    },
    async ready(deadline) {
      // The socket answers a moment before the CRI plugin does, and nothing announces the plugin.
      for (;;) {
        const { exitCode, stderr } = await call(["version"], deadline.within(5_000, "crictl version"));
        if (exitCode === 0) return;
        await setTimeout(50);
        if (deadline.signal.aborted) {
          throw new TapirError({
            code: Code.DEADLINE_EXCEEDED,
            operation: "reach",
            object: `the CRI at ${socket}`,
            cause: stderr.trim(),
          });
        }
      }
    },
  };
}

function podStatus(text: string): PodStatus {
  const { status, info } = JSON.parse(text) as {
    status: { id: string; state: string; network?: { ip?: string; additionalIps?: { ip: string }[] } };
    info: { pid: number; runtimeSpec?: { linux?: { namespaces?: { type: string; path?: string }[] } } } & {
      runtimeHandler?: string;
    };
  };
  const namespaces = info.runtimeSpec?.linux?.namespaces ?? [];
  return {
    id: status.id,
    state: status.state,
    addresses: [
      status.network?.ip ?? "",
      ...(status.network?.additionalIps ?? []).map(({ ip }) => ip),
    ].filter((address) => address !== ""),
    pid: info.pid,
    netnsPath: namespaces.find(({ type }) => type === "network")?.path ?? "",
    runtimeHandler: info.runtimeHandler ?? "",
  };
}
