// Requires root, containerd, CNI plugins, QEMU, loop devices, and what the set-up puts below build/.
// The volumes of a pod as kubelet prepares them, by the CRI. Containers have PID namespaces of their own, as kubelet makes them.
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { deadlineIn } from "../../sys/deadline.ts";
import { MS, mount, unmount } from "../../sys/mount.ts";
import { useNode } from "../harness/fixture.ts";
import { type ContainerWish, type TestPod, type Workloads, workloads } from "../harness/workload.ts";

const CASE_MS = 90_000;
/** The first pod of a run builds the template. */
const FIRST_MS = 280_000;
const node = useNode(test);
const soon = () => deadlineIn(CASE_MS, "finish the case");
/** NamespaceMode of the CRI. */
const PIDS = { container: 1, target: 3 } as const;
const OWN_PIDS = { security_context: { namespace_options: { pid: PIDS.container } } };
let work: Workloads;
let pod: TestPod;

test.serial.before("a pod", async (t) => {
  t.timeout(FIRST_MS);
  work = workloads(node());
  pod = await work.pod("volumes", deadlineIn(FIRST_MS, "start the first pod"));
});

/** Where kubelet keeps a pod's volumes. */
const kubelet = (path: string): string => {
  const place = join(node().directory, "pods/1", path);
  mkdirSync(place, { recursive: true });
  return place;
};
const start = (name: string, wish: ContainerWish) => pod.start(name, { linux: OWN_PIDS, ...wish }, soon());
const bind = (host_path: string, container_path: string, readonly = false) => ({
  host_path,
  container_path,
  readonly,
});

async function inside(id: string, script: string): Promise<string> {
  const { stdout, stderr } = await work.execSync(id, ["sh", "-c", script], soon());
  // It ends each of them with a line of its own.
  return `${stdout}${stderr}`.trim();
}

/** As kubelet's atomic writer: a folder for each version, and a link that is swapped. */
function publish(volume: string, version: string): void {
  mkdirSync(join(volume, `..${version}`));
  writeFileSync(join(volume, `..${version}`, "key"), `${version}\n`);
  symlinkSync(`..${version}`, join(volume, "..data_tmp"));
  renameSync(join(volume, "..data_tmp"), join(volume, "..data"));
}

/** A subPath: kubelet binds it to a place of its own. */
function subPath(t: ExecutionContext, source: string, name: string, isFile: boolean): string {
  const target = join(kubelet("volume-subpaths/data/app"), name);
  if (isFile) writeFileSync(target, "");
  else mkdirSync(target);
  mount({ source, target, type: "", flags: MS.BIND });
  t.teardown(() => unmount(target));
  return target;
}

test.serial("emptyDir, subPath of a folder and of a file, projected, secret, hosts", async (t) => {
  const data = kubelet("volumes/kubernetes.io~empty-dir/data");
  mkdirSync(join(data, "part"));
  writeFileSync(join(data, "single"), "one\n");
  const projected = kubelet("volumes/kubernetes.io~projected/token");
  const secret = kubelet("volumes/kubernetes.io~secret/key");
  for (const target of [projected, secret]) {
    // Both are in memory on the node, and yet the node's to change.
    mount({ source: "tmpfs", target, type: "tmpfs" });
    t.teardown(() => unmount(target));
    publish(target, "old");
    symlinkSync("..data/key", join(target, "key"));
  }
  const hosts = join(kubelet(""), "etc-hosts");
  writeFileSync(hosts, "192.0.2.7 somewhere\n");
  const mounts = [
    bind(data, "/data"),
    bind(subPath(t, join(data, "part"), "0", false), "/part"),
    bind(subPath(t, join(data, "single"), "1", true), "/etc/single"),
    bind(projected, "/token", true),
    bind(secret, "/secret", true),
    bind(hosts, "/etc/hosts"),
  ];
  const app = await start("app", { mounts });
  t.is(
    await inside(app, "cat /etc/single /token/key /secret/key; busybox grep -c 192.0.2.7 /etc/hosts"),
    "one\nold\nold\n1",
  );
  t.is(await inside(app, "echo in > /part/in; cat /data/part/in; echo two >> /etc/single"), "in");
  t.is(readFileSync(join(data, "part/in"), "utf8"), "in\n");
  t.is(readFileSync(join(data, "single"), "utf8"), "one\ntwo\n");
  for (const volume of [projected, secret]) publish(volume, "new");
  const seen =
    "for f in /token/key /secret/key; do until busybox grep new $f; do busybox usleep 50000; done; done";
  t.is(await inside(app, seen), "new\nnew");
  t.regex(await inside(app, "echo x > /secret/key"), /Read-only file system/);
});

test.serial("a raw block volume by the devices of the CRI", async (t) => {
  const file = join(node().directory, "raw");
  writeFileSync(file, Buffer.alloc(1 << 20, "x"));
  const tools = { encoding: "utf8", env: { PATH: "/usr/sbin:/sbin:/usr/bin:/bin" } } as const;
  const loop = execFileSync("losetup", ["--show", "-f", file], tools).trim();
  try {
    const devices = [{ container_path: "/dev/raw", host_path: loop, permissions: "rwm" }];
    const id = await start("raw", { devices });
    t.is(
      await inside(id, "busybox head -c 4 /dev/raw; busybox blockdev --getsize64 /dev/raw"),
      "xxxx1048576",
    );
    await inside(id, "busybox printf guest | busybox dd of=/dev/raw conv=notrunc,fsync");
    await work.crictl(["rm", "--force", id], soon());
    t.is(readFileSync(file).subarray(0, 6).toString(), "guestx");
  } finally {
    execFileSync("losetup", ["-d", loop], tools);
  }
});

test.serial("a socket in an emptyDir in memory connects two containers", async (t) => {
  const target = kubelet("volumes/kubernetes.io~empty-dir/socket");
  mount({ source: "tmpfs", target, type: "tmpfs" });
  t.teardown(() => unmount(target));
  const mounts = [bind(target, "/socket")];
  const link = "busybox ln -s /socket/log /dev/log";
  await start("server", {
    mounts,
    command: ["sh", "-c", `${link}; exec busybox syslogd -n -O /socket/said`],
  });
  const client = await start("client", { mounts });
  const said = await inside(
    client,
    `${link}; until [ -S /socket/log ]; do busybox usleep 50000; done; for i in $(busybox seq 20); do busybox logger hello $i; busybox usleep 500000; busybox grep -m 1 -o hello /socket/said && break; done`,
  );
  t.is(said, "hello");
});

test.serial(
  "a container that joins the PID namespace of another one, as kubectl debug --target does",
  async (t) => {
    const only = await work.pod("debugged", soon());
    const of = (pid: number, target_id = "") => ({
      linux: { security_context: { namespace_options: { pid, target_id } } },
    });
    const app = await only.start("app", of(PIDS.container), soon());
    const debug = await only.start("debug", of(PIDS.target, app), soon());
    const namespace = ["busybox", "readlink", "/proc/self/ns/pid"];
    const [ofApp, ofDebug] = [
      await work.execSync(app, namespace, soon()),
      await work.execSync(debug, namespace, soon()),
    ];
    t.regex(ofApp.stdout, /^pid:/);
    t.is(ofDebug.stdout, ofApp.stdout);
    await only.start("sidecar", of(PIDS.container), soon());
    const refused = await work.crictl(
      ["start", await only.create("unclear", of(PIDS.target, app), soon())],
      soon(),
    );
    t.regex(refused.stderr, new RegExp(`join the PID namespace of one of .*${app}`));
    await node().crictl.rmp(only.id, soon());
  },
);
