import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import { TapirError } from "../../sys/error.ts";
import { readMounts } from "../../sys/inventory/mountinfo.ts";
import { Code } from "../../sys/status.ts";
import { type Containerd, startContainerd } from "./containerd.ts";
import { type Crictl, crictl, type PodConfig } from "./crictl.ts";
import { removeLeftovers } from "./leftovers.ts";
import { makeNetns } from "./netns.ts";
import { findBusybox, PAUSE_IMAGE, pauseImageArchive } from "./pause-image.ts";
import { type RunResult, run, runOk } from "./run.ts";

/** The project's root. */
export const PROJECT = dirname(dirname(import.meta.dirname));

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
  /** A pod configuration of `configs/crictl` with a name and a cgroup of its own. */
  podConfig(name: string, change?: Partial<PodConfig>, file?: string): PodConfig;
  /** Stops and removes every pod. */
  removePods(deadline: Deadline): Promise<void>;
  /** Runs a command as if on the node: in its network namespace. */
  run(command: string, args: readonly string[], deadline: Deadline): Promise<RunResult>;
  /** Pings from the node; rejects when the deadline passes without an answer. */
  ping(address: string, deadline: Deadline, options?: { payload?: number }): Promise<void>;
}

export interface NodeOptions {
  /** CNI configuration list, changed before it is written: another MTU, other plugins. */
  readonly cni?: (conflist: CniConflist) => CniConflist;
  /** Text appended to the private configuration.toml. */
  readonly configuration?: string;
  readonly env?: Readonly<Record<string, string>>;
}

export interface CniConflist {
  name: string;
  cniVersion: string;
  plugins: { type: string; [key: string]: unknown }[];
}

const START_DEADLINE_MS = 60_000;
const CNI_DIRECTORIES = ["/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"];

/** Starts a private node. Disposing removes its pods, its daemon, its network and its files. */
export async function startNode(options: NodeOptions = {}): Promise<TestNode> {
  const deadline = deadlineIn(START_DEADLINE_MS, "start a test node");
  const mark = `tapir-node-${randomBytes(4).toString("hex")}`;
  const directory = join(tmpdir(), mark);
  await using undo = new AsyncDisposableStack();
  mkdirSync(directory, { mode: 0o711 });
  undo.defer(() => rmSync(directory, { recursive: true, force: true }));
  const netns = undo.use(await makeNetns(mark));
  undo.defer(() => removeLeftovers(mark, deadlineIn(20_000, "remove leftovers")));
  await prepareForPods(mark, netns.path, deadline);
  const cniConfDirectory = writeCni(directory, options.cni);
  const stateDirectory = join(directory, "tapir");
  const containerd = await startContainerd(
    {
      directory,
      netns: netns.path,
      cniBinDirectory: cniBinDirectory(),
      cniConfDirectory,
      pauseImage: PAUSE_IMAGE,
      env: {
        TAPIR_TEST_NODE: mark,
        TAPIR_CONFIG: writeConfiguration(directory, stateDirectory, options.configuration),
        PATH: `${PROJECT}/build/shim:${process.env.PATH ?? "/usr/sbin:/usr/bin:/sbin:/bin"}`,
        ...options.env,
      },
    },
    deadline,
  );
  undo.defer(async () => {
    // A test may have stopped or killed the daemon and left it so.
    await containerd.stop(deadlineIn(20_000, "stop containerd")).catch(() => undefined);
  });
  const client = crictl(findCrictl(), containerd.socket, directory);
  undo.defer(() =>
    removePods(client, deadlineIn(60_000, "remove the pods of a test node")).catch(() => undefined),
  );
  const archive = join(directory, "pause.tar");
  writeFileSync(archive, pauseImageArchive(findBusybox(PROJECT)));
  const importArgs = ["--address", containerd.socket, "--namespace", "k8s.io", "images", "import", archive];
  await runOk({ command: "ctr", args: importArgs, deadline });
  await client.ready(deadline);

  const runOnNode = (command: string, args: readonly string[], wait: Deadline): Promise<RunResult> =>
    run({ command, args, deadline: wait, netns: netns.path });
  const owned = undo.move();
  return {
    mark,
    directory,
    netns: netns.path,
    containerd,
    crictl: client,
    stateDirectory,
    podConfig: (name, change = {}, file = "pod.json") => podConfig(mark, name, file, change),
    removePods: (wait) => removePods(client, wait),
    run: runOnNode,
    ping: (address, wait, { payload } = {}) => ping(runOnNode, address, wait, payload),
    async [Symbol.asyncDispose]() {
      await owned.disposeAsync();
    },
  };
}

function podConfig(mark: string, name: string, file: string, change: Partial<PodConfig>): PodConfig {
  const base = JSON.parse(readFileSync(`${PROJECT}/configs/crictl/${file}`, "utf8")) as PodConfig;
  return {
    ...base,
    metadata: { ...base.metadata, name, uid: name },
    hostname: name,
    ...change,
    // A cgroup that names the node: what is left of it can be told from a stranger's.
    linux: { ...base.linux, ...change.linux, cgroup_parent: `/${mark}` },
  };
}

/** Makes what the first pod would leave behind: bridge and parent cgroup. An inventory then shows what pods leave. */
async function prepareForPods(mark: string, netns: string, deadline: Deadline): Promise<void> {
  const bridge = ["link", "add", "tapir0", "address", "02:00:0a:58:00:01", "type", "bridge"];
  await runOk({ command: "ip", args: bridge, netns, deadline });
  await runOk({ command: "ip", args: ["link", "set", "tapir0", "up"], netns, deadline });
  const hierarchies = readMounts().filter(({ type }) => type === "cgroup" || type === "cgroup2");
  for (const target of new Set(hierarchies.map((mount) => mount.target))) mkdirSync(join(target, mark));
}

async function ping(
  runOnNode: TestNode["run"],
  address: string,
  deadline: Deadline,
  payload?: number,
): Promise<void> {
  const size = payload === undefined ? [] : ["-M", "do", "-s", String(payload)];
  const seconds = Math.max(1, Math.ceil(deadline.remainingMs() / 1000));
  // ping itself waits: it ends with the first answer, or when its time is up.
  const args = ["-n", "-c", "1", "-w", String(seconds), ...size, address];
  const { exitCode, stdout, stderr } = await runOnNode(
    "ping",
    args,
    deadline.within(seconds * 1000 + 2000, `ping ${address}`),
  );
  if (exitCode === 0) return;
  const cause = `${stdout}${stderr}`.trim();
  throw new TapirError({ code: Code.UNAVAILABLE, operation: "ping", object: address, cause });
}

async function removePods(client: Crictl, deadline: Deadline): Promise<void> {
  for (const id of await client.pods(deadline)) {
    await client.stopp(id, deadline);
    await client.rmp(id, deadline);
  }
}

function writeCni(directory: string, change: NodeOptions["cni"]): string {
  const target = join(directory, "cni");
  mkdirSync(target);
  const conflist = JSON.parse(
    readFileSync(`${PROJECT}/configs/cni/10-tapir.conflist`, "utf8"),
  ) as CniConflist;
  const [bridge, ...others] = conflist.plugins;
  const ipam = { ...(bridge?.ipam as object), dataDir: join(directory, "cni-addresses") };
  const own = { ...conflist, plugins: [{ type: "bridge", ...bridge, ipam }, ...others] };
  writeFileSync(join(target, "10-tapir.conflist"), JSON.stringify(change?.(own) ?? own, null, 2));
  return target;
}

function writeConfiguration(directory: string, stateDirectory: string, more = ""): string {
  const path = join(directory, "configuration.toml");
  mkdirSync(stateDirectory, { mode: 0o700 });
  writeFileSync(path, `[runtime]\nstate_dir = "${stateDirectory}"\n${more}`);
  return path;
}

function cniBinDirectory(): string {
  const found = CNI_DIRECTORIES.find((one) => existsSync(`${one}/bridge`) && existsSync(`${one}/host-local`));
  if (found !== undefined) return found;
  throw new TapirError({
    code: Code.NOT_FOUND,
    operation: "find",
    object: "the CNI plugins bridge and host-local",
    cause: `not in ${CNI_DIRECTORIES.join(", ")}`,
    hint: "install containernetworking-plugins",
  });
}

/** crictl where the set-up put it. */
function findCrictl(): string {
  const path = `${PROJECT}/build/bin/crictl`;
  if (existsSync(path)) return path;
  throw new TapirError({
    code: Code.NOT_FOUND,
    operation: "find",
    object: "crictl",
    cause: `${path} is not there`,
    hint: "run setup/setup.sh",
  });
}
