import type { ExecutionContext } from "ava";
import type {
  CreateContainerRequest,
  CreateContainerResponse,
  ExecProcessResponse,
  StdioSetup,
  WaitProcessResponse,
} from "../../proto/gen/tapir/agent/v1/container.ts";
import type { GuestContainers, ProcessKey, StdioStream } from "../../shim/containers-client.ts";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";

/** Containers in a booted guest whose rootfs is the guest's own image, with a layer of memory over it. */
export const soon = (): Deadline => deadlineIn(240_000, "test");

const ALL: StdioSetup = { stdin: false, stdout: true, stderr: true };
export const INTERACTIVE: StdioSetup = { stdin: true, stdout: true, stderr: true };

/** A specification as containerd writes it, with the host's namespaces, mounts and devices. */
export function specOf(
  args: readonly string[],
  process: object = {},
  linux: object = {},
): Record<string, unknown> {
  const caps = ["CAP_KILL", "CAP_CHOWN", "CAP_SETUID", "CAP_SETGID", "CAP_NET_BIND_SERVICE"];
  return {
    ociVersion: "1.0.2-dev",
    process: {
      user: { uid: 0, gid: 0, additionalGids: [0] },
      args,
      env: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"],
      cwd: "/",
      capabilities: { bounding: caps, effective: caps, permitted: caps },
      noNewPrivileges: true,
      rlimits: [{ type: "RLIMIT_NOFILE", hard: 1024, soft: 1024 }],
      ...process,
    },
    root: { path: "rootfs" },
    mounts: [
      { destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"] },
      { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755", "size=65536k"] },
      {
        destination: "/dev/pts",
        type: "devpts",
        source: "devpts",
        options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
      },
      {
        destination: "/dev/mqueue",
        type: "mqueue",
        source: "mqueue",
        options: ["nosuid", "noexec", "nodev"],
      },
      { destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev", "ro"] },
      {
        destination: "/sys/fs/cgroup",
        type: "cgroup",
        source: "cgroup",
        options: ["nosuid", "noexec", "ro"],
      },
      {
        destination: "/dev/shm",
        type: "bind",
        source: "/run/containerd/shm",
        options: ["rbind", "rprivate", "rw"],
      },
    ],
    linux: {
      namespaces: [
        { type: "pid" },
        { type: "ipc", path: "/proc/1234/ns/ipc" },
        { type: "uts", path: "/proc/1234/ns/uts" },
        { type: "mount" },
        { type: "network", path: "/proc/1234/ns/net" },
      ],
      cgroupsPath: "/kubepods/pod1/abc",
      resources: { devices: [{ allow: false, access: "rwm" }], cpu: { shares: 2 } },
      maskedPaths: ["/proc/kcore", "/proc/keys"],
      readonlyPaths: ["/proc/sys", "/proc/sysrq-trigger"],
      ...linux,
    },
  };
}

/** A running container, or process, and what it wrote. */
export interface Running {
  readonly key: ProcessKey;
  readonly stream: StdioStream;
  readonly output: { stdout: Buffer; stderr: Buffer };
  /** The order of marks: "drained", "stdout_end", ... */
  readonly marks: string[];
  /** Resolves when the stream has ended. */
  readonly ended: Promise<void>;
  exit(): Promise<WaitProcessResponse>;
}

export async function attach(guest: GuestContainers, key: ProcessKey): Promise<Running> {
  const stream = await guest.stdio();
  const chunks = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
  const marks: string[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  promise.catch(() => undefined);
  stream.on("data", (message) => {
    for (const kind of ["stdout", "stderr"] as const)
      if (message[kind] !== undefined) chunks[kind].push(message[kind]);
    for (const mark of ["stdoutEnd", "stderrEnd", "drained", "stdinClosed"] as const)
      if (message[mark] === true) marks.push(mark);
  });
  stream.on("end", resolve);
  stream.on("error", reject);
  stream.write({ ...key, stdin: Buffer.alloc(0) });
  return {
    key,
    stream,
    marks,
    output: {
      get stdout() {
        return Buffer.concat(chunks.stdout);
      },
      get stderr() {
        return Buffer.concat(chunks.stderr);
      },
    },
    ended: promise,
    exit: () => guest.waitProcess(key, AbortSignal.timeout(60_000)),
  };
}

let names = 0;

/** A name that no other container of this run has. */
export function freshId(): string {
  names++;
  return `c${names}`;
}

export function createRequest(
  containerId: string,
  spec: object,
  changes: Partial<CreateContainerRequest> = {},
): CreateContainerRequest {
  const rootfs = `rootfs-${containerId}`;
  return {
    containerId,
    spec: Buffer.from(JSON.stringify(spec)),
    storages: [
      {
        id: rootfs,
        overlay: { lower: [{ storageId: "image", path: "" }], upper: undefined, memoryBytes: 32n << 20n },
      },
    ],
    rootfs: { storageId: rootfs, path: "" },
    mountSources: [],
    deviceSources: [],
    stdio: ALL,
    pidNamespaceOf: "",
    ...changes,
  };
}

/** Creates, attaches and starts a container that goes with the test. */
export async function run(
  t: ExecutionContext,
  guest: GuestContainers,
  spec: object,
  changes: Partial<CreateContainerRequest> = {},
): Promise<Running & { readonly id: string; readonly created: CreateContainerResponse }> {
  const id = freshId();
  t.teardown(() => guest.removeContainer({ containerId: id }, soon()));
  const created = await guest.createContainer(createRequest(id, spec, changes), soon());
  const running = await attach(guest, { containerId: id, execId: "" });
  if (created.failure === undefined) await guest.startContainer({ containerId: id }, soon());
  return { ...running, id, created };
}

/** Runs a process in a container and attaches to it, unless its command failed. */
export async function exec(
  guest: GuestContainers,
  containerId: string,
  process: object,
  stdio: StdioSetup = ALL,
): Promise<{ readonly response: ExecProcessResponse; readonly running: Running }> {
  const execId = freshId();
  const whole = { user: { uid: 0, gid: 0 }, env: ["PATH=/usr/bin:/usr/sbin"], cwd: "/", ...process };
  const request = { containerId, execId, process: Buffer.from(JSON.stringify(whole)), stdio };
  const response = await guest.execProcess(request, soon());
  return { response, running: await attach(guest, { containerId, execId }) };
}
