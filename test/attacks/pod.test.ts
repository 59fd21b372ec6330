// Requires root, containerd, CNI plugins, QEMU, virtiofsd, perl, setpriv and what the set-up puts below build/.
// Attacks from inside a container, from a privileged one, from who makes pods, and from another user of the node.
import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import test from "ava";
import { managementSocket, sandboxDirectory } from "../../shim/state/directory.ts";
import { deadlineIn } from "../../sys/deadline.ts";
import { useNode } from "../harness/fixture.ts";
import { type TestPod, type Workloads, workloads } from "../harness/workload.ts";
import { attempts, UNPRIVILEGED } from "./attempts.ts";

const node = useNode(test);
const soon = (ms = 60_000) => deadlineIn(ms, "attack a pod");

const secrets = {
  env: `env-${randomUUID()}`,
  file: `file-${randomUUID()}`,
  outside: `outside-${randomUUID()}`,
};
let work: Workloads;
let pod: TestPod;
let mallory: string;
let privileged: string;
let share: string;

test.serial("a pod with an ordinary and a privileged container", async (t) => {
  const { directory } = node();
  work = workloads(node());
  share = join(directory, "share");
  mkdirSync(share);
  writeFileSync(join(directory, "secret"), secrets.file);
  writeFileSync(join(directory, "outside"), secrets.outside);
  symlinkSync(join(directory, "outside"), join(share, "made-by-host"));
  symlinkSync("../outside", join(share, "up-by-host"));
  execFileSync("mknod", [join(share, "disk-of-host"), "b", "7", "0"]);
  execFileSync("mknod", [join(share, "memory-of-host"), "c", "1", "1"]);
  const limit = soon(120_000);
  pod = await work.pod("attacked", limit, { linux: { security_context: { privileged: true } } });
  const mounts = [
    { host_path: share, container_path: "/data" },
    { host_path: join(directory, "secret"), container_path: "/secret", readonly: true },
  ];
  const command = ["sh", "-c", "cat /secret > /dev/null; sleep 1000"];
  mallory = await pod.start(
    "mallory",
    { command, mounts, envs: [{ key: "TOKEN", value: secrets.env }], linux: UNPRIVILEGED },
    limit,
  );
  const linux = { security_context: { privileged: true } };
  privileged = await pod.start("privileged", { command: ["sleep", "1000"], mounts, linux }, limit);
  t.truthy(privileged);
});

const HOST_SETTINGS = [
  "kernel/core_pattern",
  "kernel/panic",
  "kernel/hostname",
  "kernel/domainname",
  "vm/swappiness",
];
const hostSettings = (): string[] => HOST_SETTINGS.map((name) => readFileSync(`/proc/sys/${name}`, "utf8"));

test.serial("an ordinary container: sysrq, /proc/sys and /sys are read-only and stay so", async (t) => {
  const said = await attempts(work, mallory, {
    sysrq: "echo c > /proc/sysrq-trigger",
    pattern: "echo '|/data/run' > /proc/sys/kernel/core_pattern",
    remountProc: "busybox mount -o remount,rw,bind /proc/sys && echo 1 > /proc/sys/kernel/panic",
    remountSys: "busybox mount -o remount,rw /sys",
    uncover: "busybox umount /proc/sys",
    uevent: "echo /data/run > /sys/kernel/uevent_helper",
  });
  t.is(Object.keys(said).length, 6);
  for (const [name, words] of Object.entries(said)) t.regex(words, /^refused: .+/, `${name}: ${words}`);
});

test.serial(
  "device nodes: of the guest, of the share, made by either side, none opens a device",
  async (t) => {
    const read = (path: string): string => `busybox dd if=${path} bs=1 count=1`;
    const made = (path: string, numbers: string): string =>
      `busybox mknod ${path} ${numbers} && echo made; ${read(path)}`;
    const said = await attempts(work, mallory, {
      rootImage: made("/tmp/root", "b 259 0"),
      disk: made("/tmp/disk", "b 8 0"),
      memory: made("/tmp/mem", "c 1 1"),
      shared: made("/data/disk-of-guest", "b 7 0"),
      byHost: read("/data/disk-of-host"),
      memoryByHost: read("/data/memory-of-host"),
    });
    for (const [name, words] of Object.entries(said)) {
      t.log(`${name}: ${words.replaceAll("\n", " ")}`);
      t.regex(
        words,
        /^refused: .*(Operation not permitted|Permission denied|No such device)/s,
        `${name}: ${words}`,
      );
    }
    t.is(Object.keys(said).length, 6);
    // Privileged is so in the guest: the node's disks are not there, and what lies in the share is no device there either.
    const all = await attempts(work, privileged, {
      loop: made("/tmp/loop", "b 7 0"),
      byHost: read("/data/disk-of-host"),
      memoryByHost: read("/data/memory-of-host"),
    });
    for (const [name, words] of Object.entries(all)) t.regex(words, /^refused: /, `${name}: ${words}`);
  },
);

test.serial("links and .. in the share lead nowhere on the node, whoever made them", async (t) => {
  const { directory } = node();
  const outside = join(directory, "outside");
  const said = await attempts(work, mallory, {
    byHost: "cat /data/made-by-host",
    upByHost: "cat /data/up-by-host",
    absolute: `ln -s ${outside} /data/link 2>/dev/null || busybox ln -s ${outside} /data/link; cat /data/link`,
    up: "busybox ln -s ../outside /data/up; cat /data/up",
    dots: "cat /data/../outside /data/../../../outside",
    write: `echo mine > /data/link`,
    writeUp: "echo mine > /data/../outside2 && cat /data/../outside2",
  });
  for (const name of ["byHost", "upByHost", "absolute", "up", "dots", "write"]) {
    t.regex(said[name] ?? "", /^refused: .*(No such file|nonexistent)/s, `${name}: ${said[name]}`);
  }
  t.is(said.writeUp, "done: mine", "in its own root");
  t.false(existsSync(join(directory, "outside2")));
  t.is(readFileSync(outside, "utf8"), secrets.outside);
  t.true(lstatSync(join(share, "link")).isSymbolicLink());
});

test.serial("a privileged container changes its guest's kernel, and nothing of the node's", async (t) => {
  const before = hostSettings();
  const said = await attempts(work, privileged, {
    sysctl: "echo 1 > /proc/sys/kernel/panic && cat /proc/sys/kernel/panic",
    pattern: "echo '|/data/run' > /proc/sys/kernel/core_pattern",
    swappiness: "echo 3 > /proc/sys/vm/swappiness",
    remount: "busybox mount -o remount,rw /sys",
    host: `cat ${share}/made-by-host`,
  });
  t.is(said.sysctl, "done: 1");
  t.regex(said.host ?? "", /^refused/);
  t.deepEqual(hostSettings(), before);
});

test.serial("every pid that containerd is told is the VM's", async (t) => {
  await attempts(work, mallory, { fork: "for n in 1 2 3 4 5; do sleep 100 > /dev/null 2>&1 & done" });
  const of = async (id: string): Promise<number[]> => {
    const { stdout } = await work.ctr(["task", "ps", id], soon());
    return stdout
      .split("\n")
      .flatMap((line) => /^\d+/.exec(line)?.[0] ?? [])
      .map(Number);
  };
  const pids = [...(await of(pod.id)), ...(await of(mallory)), ...(await of(privileged))];
  t.true(pids.length >= 3);
  t.is(new Set(pids).size, 1);
  t.regex(readFileSync(`/proc/${pids[0]}/comm`, "utf8"), /^qemu-system/);
});

test.serial("another user of the node reaches no socket and no file of the pod", (t) => {
  const directory = sandboxDirectory(node().stateDirectory, "k8s.io", pod.id);
  const script = [
    "use Socket; socket(my $s, AF_UNIX, SOCK_STREAM, 0) or die;",
    "print connect($s, pack_sockaddr_un($ARGV[0])) ? 'connected' : \"$!\";",
  ].join(" ");
  const as = (uid: number, socket: string): string =>
    execFileSync(
      "setpriv",
      [`--reuid=${uid}`, `--regid=${uid}`, "--clear-groups", "perl", "-e", script, socket],
      { encoding: "utf8" },
    );
  const sockets = readdirSync(directory)
    .map((name) => join(directory, name))
    .filter((path) => statSync(path).isSocket());
  t.true(sockets.includes(managementSocket(directory)));
  // Whether there is room for the longest name is looked at before a pod has anything.
  t.true(sockets.every((path) => path.length <= managementSocket(directory).length));
  for (const path of sockets) t.is(as(65_534, path), "Permission denied", path);
  t.is(as(0, managementSocket(directory)), "connected");
  const address = readFileSync(join(bundleOf(pod.id), "address"), "utf8").replace("unix://", "");
  t.is(as(65_534, address), "Permission denied", address);
});

const bundleOf = (id: string): string => {
  const found = execFileSync(
    "find",
    [
      node().directory,
      "/run/containerd",
      "-type",
      "d",
      "-name",
      id,
      "-path",
      "*io.containerd.runtime.v2.task*",
    ],
    {
      encoding: "utf8",
    },
  );
  return found.split("\n").find((path) => existsSync(join(path, "address"))) ?? "";
};

test.serial("secrets are in no log, no console and no state of the pod", (t) => {
  const directory = sandboxDirectory(node().stateDirectory, "k8s.io", pod.id);
  // What is mounted there is the container's own.
  const files = execFileSync(
    "find",
    [directory, "-xdev", "-type", "f", "-not", "-path", `${directory}/shared/*`],
    { encoding: "utf8" },
  )
    .trim()
    .split("\n");
  t.true(files.length > 2, files.join());
  // Between containerd's own lines, which have the whole spec when it is told to debug.
  const said = readFileSync(node().containerd.log, "utf8")
    .split("\n")
    .filter((line) => / namespace=k8s\.io pid=\d+$/.test(line));
  t.true(said.some((line) => line.includes("level=debug") && line.includes(pod.id)));
  const texts = [...files.map((path) => [path, readFileSync(path, "latin1")]), ["the log", said.join("\n")]];
  for (const [path, text] of texts)
    for (const [name, secret] of Object.entries(secrets))
      t.false(text?.includes(secret), `${name} in ${path}`);
});

for (const [key, value] of [
  ["hypervisor.qemu.path", "/bin/sh"],
  ["hypervisor.qemu.kernel", "/etc/passwd"],
  ["hypervisor.qemu.initramfs", "/etc/passwd"],
  ["hypervisor.qemu.image", "/dev/sda"],
  ["hypervisor.qemu.kernel_params", "init=/bin/sh"],
  ["hypervisor.qemu.virtiofsd", "/bin/sh"],
  ["runtime.state_dir", "/etc"],
  ["runtime.enable_annotations", ".*"],
] as const) {
  test.serial(`an annotation for ${key} is refused by name`, async (t) => {
    const annotations = { [`io.tapir.config.${key}`]: value };
    const error = await t.throwsAsync(
      node().crictl.runp(node().podConfig("override", { annotations }), "tapir", soon()),
    );
    t.regex(error.message, /cannot use annotation .*(does not allow it|no pod may change it)/);
    t.true(error.message.includes(`io.tapir.config.${key}`), error.message);
  });
}

// The last one: the pod is gone afterwards.
test.serial("sysrq in a privileged container crashes its own guest, and only that", async (t) => {
  const uptime = Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]);
  const { pid } = await node().crictl.inspectp(pod.id, soon());
  void work
    .execSync(
      privileged,
      ["sh", "-c", "echo 1 > /proc/sys/kernel/sysrq; echo c > /proc/sysrq-trigger"],
      soon(),
    )
    .catch(() => undefined);
  const limit = soon();
  while (existsSync(`/proc/${pid}`)) await pause(100, undefined, { signal: limit.signal });
  while ((await node().crictl.inspectp(pod.id, limit)).state !== "SANDBOX_NOTREADY")
    await pause(100, undefined, { signal: limit.signal });
  t.true(Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]) > uptime);
  const { state, exitCode } = await work.ended(mallory, limit);
  t.is(state, "CONTAINER_EXITED");
  t.not(exitCode, 0);
});
