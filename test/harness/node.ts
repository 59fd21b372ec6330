import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import { readMounts } from "../../sys/inventory/mountinfo.ts";
import { mount } from "../../sys/mount.ts";
import { type Containerd, startContainerd } from "./containerd.ts";
import { containerdPaths } from "./containerd-config.ts";
import { type Crictl, crictl, type PodConfig } from "./crictl.ts";
import { dismantleNode, type NodeRecord, socketDirectoryOf, stateDirectoryOf } from "./dismantle.ts";
import { makeNetns } from "./netns.ts";
import {
  type CniConflist,
  cniBinDirectory,
  writeCni,
  writeConfiguration,
  writePlugins,
} from "./node-files.ts";
import { findBusybox, PAUSE_IMAGE, pauseImageArchive } from "./pause-image.ts";
import { type PingOptions, ping } from "./ping.ts";
import { podConfig, removePods } from "./pods.ts";
import { BUILT, built } from "./project.ts";
import { type RunResult, run, runOk } from "./run.ts";

/** A private node: containerd with CRI and CNI in a network namespace of its own. */
export interface TestNode extends AsyncDisposable {
  /** Part of every path, netns, cgroup and environment that belongs to this node. */
  readonly mark: string;
  readonly directory: string;
  /** Path of the network namespace that plays the node's. */
  readonly netns: string;
  readonly containerd: Containerd;
  readonly crictl: Crictl;
  /** Where the shim keeps its sandboxes. */
  readonly stateDirectory: string;
  /** What another process needs to take the node apart. */
  record(): NodeRecord;
  /** `configs/crictl/pod.json` with a name and a cgroup of its own. */
  podConfig(name: string, change?: Partial<PodConfig>): PodConfig;
  /** Stops and removes every pod. */
  removePods(deadline: Deadline): Promise<void>;
  /** Runs a command as if on the node: in its network namespace. */
  run(command: string, args: readonly string[], deadline: Deadline): Promise<RunResult>;
  /** Pings from the node until the first answer; returns its round trip in milliseconds. */
  ping(address: string, deadline: Deadline, options?: PingOptions): Promise<number>;
}

export interface NodeOptions {
  /** CNI configuration list, changed before it is written: another MTU, other plugins. */
  readonly cni?: (conflist: CniConflist) => CniConflist;
  /** CNI plugins of the test's own, as shell scripts by name, beside the machine's. */
  readonly plugins?: Readonly<Record<string, string>>;
  /** A drop-in for the private configuration.toml. */
  readonly configuration?: string;
  /** `tcg_tb_size_mib`; the shipped one when not set. */
  readonly tbSizeMiB?: number | undefined;
  /** Environment of containerd and its shims. */
  readonly env?: Readonly<Record<string, string>>;
  /** Bytes of a tmpfs where containerd keeps what is only for its life, the bundles of tasks among it; else a folder of the disk. */
  readonly bundleBytes?: number;
}

const START_DEADLINE_MS = 60_000;
/** For pods with containers: their starts take half of the processor with it, where there is no KVM. */
export const TB_SIZE_FOR_CONTAINERS_MIB = 64;

/** Starts a private node. Disposing removes its pods, its daemon, its network and its files. */
export async function startNode(options: NodeOptions = {}): Promise<TestNode> {
  const deadline = deadlineIn(START_DEADLINE_MS, "start a test node");
  const mark = `tn-${randomBytes(4).toString("hex")}`;
  const directory = join(tmpdir(), mark);
  let containerd: Containerd | undefined;
  try {
    mkdirSync(directory, { mode: 0o711 });
    if (options.bundleBytes !== undefined)
      mountBundles(containerdPaths(directory).state, options.bundleBytes);
    const netns = await makeNetns(mark);
    await prepareForPods(mark, netns.path, deadline);
    const stateDirectory = stateDirectoryOf(mark);
    containerd = await startContainerd(
      {
        directory,
        netns: netns.path,
        cniBinDirectory:
          options.plugins === undefined ? cniBinDirectory() : writePlugins(directory, options.plugins),
        cniConfDirectory: writeCni(directory, options.cni),
        pauseImage: PAUSE_IMAGE,
        env: {
          TAPIR_TEST_NODE: mark,
          TAPIR_SOCKET_DIR: socketDirectoryOf(mark),
          TAPIR_CONFIG: writeConfiguration(directory, stateDirectory, options),
          PATH: `${BUILT.shim}:${process.env.PATH ?? "/usr/sbin:/usr/bin:/sbin:/bin"}`,
          ...options.env,
        },
      },
      deadline,
    );
    await importImage(directory, containerd.socket, deadline);
    const client = crictl(built(BUILT.crictl), containerd.socket, directory);
    await client.ready(deadline);
    return theNode({ mark, directory, netns: netns.path, stateDirectory, containerd, crictl: client });
  } catch (error) {
    await dismantleNode({ mark, directory, daemon: containerd?.identity() });
    throw error;
  }
}

type Parts = Pick<TestNode, "mark" | "directory" | "netns" | "stateDirectory" | "containerd" | "crictl">;

function theNode(parts: Parts): TestNode {
  const { mark, directory, netns, containerd, crictl: client } = parts;
  const record = (): NodeRecord => ({ mark, directory, daemon: containerd.running() });
  return {
    ...parts,
    record,
    podConfig: (name, change) => podConfig(mark, name, change),
    removePods: (deadline) => removePods(client, deadline),
    run: (command, args, deadline) => run({ command, args, deadline, netns }),
    ping: (address, deadline, options) => ping(netns, address, deadline, options),
    [Symbol.asyncDispose]: () => dismantleNode(record()),
  };
}

const cgroupRoots = (): string[] => [
  ...new Set(
    readMounts()
      .filter(({ type }) => type === "cgroup" || type === "cgroup2")
      .map(({ target }) => target),
  ),
];

function mountBundles(target: string, bytes: number): void {
  mkdirSync(target, { mode: 0o711 });
  mount({ source: "tmpfs", target, type: "tmpfs", data: `mode=711,size=${bytes}` });
}

/** Where a node's cache server belongs: nothing else of a VM that nobody has taken tells whose it is. */
export const cacheCgroup = (mark: string): string => join(cgroupRoots().at(-1) ?? "", mark, "cache");

async function importImage(directory: string, socket: string, deadline: Deadline): Promise<void> {
  const archive = join(directory, "pause.tar");
  writeFileSync(archive, pauseImageArchive(findBusybox()));
  const args = ["--address", socket, "--namespace", "k8s.io", "images", "import", archive];
  await runOk({ command: "ctr", args, deadline });
}

/**
 * Makes what the first pod would leave behind: bridge, parent cgroup, and the directory of containerd's namespace.
 * An inventory then shows what pods leave.
 */
async function prepareForPods(mark: string, netns: string, deadline: Deadline): Promise<void> {
  mkdirSync(join(stateDirectoryOf(mark), "k8s.io"), { recursive: true, mode: 0o700 });
  mkdirSync(socketDirectoryOf(mark), { mode: 0o700 });
  const bridge = ["link", "add", "tapir0", "address", "02:00:0a:58:00:01", "type", "bridge"];
  await runOk({ command: "ip", args: bridge, netns, deadline });
  await runOk({ command: "ip", args: ["link", "set", "tapir0", "up"], netns, deadline });
  for (const target of cgroupRoots()) mkdirSync(join(target, mark));
  mkdirSync(cacheCgroup(mark));
}
