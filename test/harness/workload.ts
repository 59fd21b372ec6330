import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { Deadline } from "../../sys/deadline.ts";
import type { PodConfig } from "./crictl.ts";
import type { TestNode } from "./node.ts";
import { PAUSE_IMAGE } from "./pause-image.ts";
import { BUILT, built } from "./project.ts";
import { type RunResult, run } from "./run.ts";

/** What of a CRI container the tests set; the rest is as `crictl` has it. */
export interface ContainerWish {
  readonly command?: readonly string[];
  readonly working_dir?: string;
  readonly stdin?: boolean;
  readonly stdin_once?: boolean;
  readonly tty?: boolean;
  readonly envs?: readonly { readonly key: string; readonly value: string }[];
  readonly mounts?: readonly object[];
  readonly devices?: readonly object[];
  readonly linux?: object;
}

/** What `crictl inspect` says, as far as tests look at it. */
export interface ContainerStatus {
  readonly state: string;
  readonly exitCode: number;
  readonly reason: string;
  readonly message: string;
}

export interface TestPod {
  readonly id: string;
  /** Makes a container from the test image; it has not started. */
  create(name: string, wish: ContainerWish, deadline: Deadline): Promise<string>;
  /** Makes a container and starts it. */
  start(name: string, wish: ContainerWish, deadline: Deadline): Promise<string>;
}

/** Containers of a test node, by the programs that people use. They run in the node's network: the CRI streams from there. */
export interface Workloads {
  pod(name: string, deadline: Deadline, change?: Partial<PodConfig>, runtime?: string): Promise<TestPod>;
  crictl(args: readonly string[], deadline: Deadline): Promise<RunResult>;
  ctr(args: readonly string[], deadline: Deadline): Promise<RunResult>;
  /** A line for bash, for which `crictl` and `ctr` are the node's, also for programs that it starts. */
  shell(script: string, deadline: Deadline): Promise<RunResult>;
  /** As `shell`, at a terminal that nobody types at. What is written there is in the file `typescript` at once. */
  terminal(script: string, typescript: string, deadline: Deadline): Promise<string>;
  /** By the CRI's streaming server. */
  exec(id: string, command: readonly string[], deadline: Deadline): Promise<RunResult>;
  /** By the CRI's ExecSync, as probes do; the command's own exit code. */
  execSync(id: string, command: readonly string[], deadline: Deadline): Promise<RunResult>;
  status(id: string, deadline: Deadline): Promise<ContainerStatus>;
  /** Waits for the container's end; returns how it ended. */
  ended(id: string, deadline: Deadline): Promise<ContainerStatus>;
}

/** The CRI has no events that could be waited for. */
const LOOK_AGAIN_MS = 100;
/** Seconds that crictl waits for an answer. */
const CRI_TIMEOUT = 180;

export function workloads(node: TestNode, timeoutSeconds = CRI_TIMEOUT): Workloads {
  const programs = join(node.directory, "bin");
  const endpoint = `unix://${node.containerd.socket}`;
  const program = (name: string, line: string): void => {
    const path = join(programs, name);
    // Under its own name it would find itself.
    writeFileSync(path, `#!/bin/sh\nPATH=${process.env.PATH}\nexec ${line} "$@"\n`);
    chmodSync(path, 0o755);
  };
  mkdirSync(programs, { recursive: true });
  const flags = `--runtime-endpoint ${endpoint} --image-endpoint ${endpoint} --timeout ${timeoutSeconds}s`;
  program("crictl", `${built(BUILT.crictl)} ${flags}`);
  program("ctr", `ctr --address ${node.containerd.socket} --namespace k8s.io`);
  const env = { ...process.env, PATH: `${programs}:${process.env.PATH}` };

  const inNode = (command: string, args: readonly string[], deadline: Deadline) =>
    run({ command, args, deadline, netns: node.netns, env });
  const crictl = (args: readonly string[], deadline: Deadline) =>
    inNode(join(programs, "crictl"), args, deadline);
  const succeed = async (args: readonly string[], deadline: Deadline): Promise<string> => {
    const { exitCode, stdout, stderr } = await crictl(args, deadline);
    if (exitCode !== 0) throw new Error(`crictl ${args.join(" ")}: ${stderr.trim()}`);
    return stdout.trim();
  };
  let files = 0;
  const file = (name: string, content: object): string => {
    const path = join(node.directory, `${name}-${files++}.json`);
    writeFileSync(path, JSON.stringify(content));
    return path;
  };
  const status = async (id: string, deadline: Deadline): Promise<ContainerStatus> => {
    const text = await succeed(["inspect", "--output", "json", id], deadline);
    const { state, exitCode, reason, message } = (JSON.parse(text) as { status: ContainerStatus }).status;
    return { state, exitCode, reason, message };
  };

  return {
    crictl,
    status,
    ctr: (args, deadline) => inNode(join(programs, "ctr"), args, deadline),
    shell: (script, deadline) => inNode("bash", ["-c", script], deadline),
    async terminal(script, typescript, deadline) {
      const lines = `${typescript}.sh`;
      writeFileSync(lines, script);
      // A fifo that it holds open itself: the end of its input would be typed as ^D.
      const hold = `mkfifo ${typescript}.in && exec script --quiet --flush --command "bash ${lines}" ${typescript} <> ${typescript}.in`;
      return (await inNode("bash", ["-c", hold], deadline)).stdout;
    },
    async pod(name, deadline, change = {}, runtime = "tapir") {
      const config = { ...node.podConfig(name, change), log_directory: join(node.directory, "logs", name) };
      const id = await node.crictl.runp(config, runtime, deadline);
      const podFile = file(name, config);
      const create = (container: string, wish: ContainerWish, limit: Deadline): Promise<string> => {
        const wanted = {
          metadata: { name: container },
          image: { image: PAUSE_IMAGE },
          log_path: `${container}.log`,
          linux: {},
          ...wish,
        };
        return succeed(["create", "--no-pull", id, file(container, wanted), podFile], limit);
      };
      return {
        id,
        create,
        async start(container, wish, limit) {
          const made = await create(container, wish, limit);
          await succeed(["start", made], limit);
          return made;
        },
      };
    },
    exec: (id, command, deadline) => crictl(["exec", id, ...command], deadline),
    async execSync(id, command, deadline) {
      const result = await crictl(["exec", "--sync", id, ...command], deadline);
      const said = /exited with (\d+)/.exec(result.stderr)?.[1];
      return said === undefined ? result : { ...result, exitCode: Number(said) };
    },
    async ended(id, deadline) {
      for (;;) {
        const now = await status(id, deadline);
        if (now.state === "CONTAINER_EXITED") return now;
        await pause(LOOK_AGAIN_MS, undefined, { signal: deadline.signal });
      }
    },
  };
}
