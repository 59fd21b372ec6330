// Requires root, containerd, QEMU and what the set-up puts below build/.
// Containers that are in no pod: each has a VM of its own. containerd's own client, without the CRI.
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import test from "ava";
import { findingsOf } from "../../cli/check/security.ts";
import { loadConfiguration } from "../../shim/config/load.ts";
import { sandboxDirectory } from "../../shim/state/directory.ts";
import { deadlineIn } from "../../sys/deadline.ts";
import { tar } from "../harness/archive.ts";
import { useNode } from "../harness/fixture.ts";
import { ociArchive } from "../harness/oci-image.ts";
import { findBusybox, PAUSE_IMAGE } from "../harness/pause-image.ts";
import { type Workloads, workloads } from "../harness/workload.ts";

const CASE_MS = 90_000;
const node = useNode(test);
const soon = () => deadlineIn(CASE_MS, "finish the case");
const RUN = ["run", "--runtime", "io.containerd.tapir.v2"];
let work: Workloads;

test.serial.before("containerd's client", () => {
  work = workloads(node());
});

const ctr = (...args: string[]) => work.ctr(args, soon());
const state = async (id: string): Promise<string | undefined> =>
  new RegExp(`^${id} +\\d+ +(\\w+)`, "m").exec((await ctr("task", "ls")).stdout)?.[1];

async function until(check: () => Promise<boolean>): Promise<void> {
  const deadline = soon();
  while (!(await check())) await pause(50, undefined, { signal: deadline.signal });
}

/** What containerd got of the events of a container, in order. */
function events(id: string): string[] {
  const log = readFileSync(node().containerd.log, "utf8");
  return [...log.matchAll(new RegExp(`msg=event topic=/tasks/([\\w-]+) id=${id} `, "g"))].map(
    ([, name = ""]) => name,
  );
}

interface Spec {
  process: { args: string[]; terminal: boolean };
  root: object;
  linux: { resources: object };
  hooks?: object;
}

/** As `ctr` writes it, with busybox for a root. */
async function bareSpec(): Promise<Spec> {
  const spec = JSON.parse((await ctr("oci", "spec")).stdout) as Spec;
  const rootfs = join(node().directory, "rootfs");
  const { exitCode, stderr } = await work.shell(
    `mkdir -p ${rootfs}/bin ${rootfs}/proc ${rootfs}/sys ${rootfs}/dev && cp ${findBusybox()} ${rootfs}/bin/busybox && ln -sf busybox ${rootfs}/bin/sh`,
    soon(),
  );
  if (exitCode !== 0) throw new Error(stderr);
  return { ...spec, root: { path: rootfs }, process: { ...spec.process, terminal: false } };
}

/** An executable script on the node. */
function program(name: string, lines: string): string {
  const path = join(node().directory, name);
  writeFileSync(path, `#!/bin/sh\n${lines}\n`);
  chmodSync(path, 0o755);
  return path;
}

test.serial("run: output, errors, exit code; nothing but loopback without a network", async (t) => {
  const script = "echo out; ls /sys/class/net; echo err >&2; exit 3";
  const { exitCode, stdout, stderr } = await ctr(...RUN, "--rm", PAUSE_IMAGE, "plain", "sh", "-c", script);
  t.deepEqual([stdout, stderr, exitCode], ["out\nlo\n", "err\n", 3]);
  t.deepEqual(events("plain"), ["create", "start", "exit", "delete"]);
  t.is(await state("plain"), undefined);
  // A copy of the image, bound: nothing lies over anything.
  const native = [
    "--rm",
    "--snapshotter",
    "native",
    PAUSE_IMAGE,
    "copied",
    "sh",
    "-c",
    "echo x > /f; cat /f",
  ];
  const copied = await ctr(...RUN, ...native);
  t.deepEqual([copied.stdout, copied.exitCode], ["x\n", 0], copied.stderr);
});

test.serial("run: input, to its end; one that ends without reading it does not wait for it", async (t) => {
  const run = (id: string): string => `ctr ${RUN.join(" ")} --rm ${PAUSE_IMAGE} ${id}`;
  // More than what lies on the way holds: ctr forgets to say that its input has ended when that is before it knows its task.
  const { stdout, stderr } = await work.shell(`seq 400000 | ${run("reader")} busybox wc -l`, soon());
  t.is(stdout.trim(), "400000", stderr);
  // Nobody ever writes to that fifo, or closes it.
  const never = `mkfifo ${node().directory}/never; ${run("deaf")} busybox echo deaf <> ${node().directory}/never`;
  t.is((await work.shell(never, soon())).stdout, "deaf\n");
});

test.serial("run with a terminal", async (t) => {
  // The client tells the size after the start.
  const size = "size=$(stty size 2> /dev/null)";
  const inside = `test -t 0 && until ${size} && test -n "$size"; do sleep 0.1; done; echo "$size"; echo "it is"`;
  const lines = `stty rows 20 cols 90; ctr ${RUN.join(" ")} --rm --tty ${PAUSE_IMAGE} tty busybox sh -c '${inside}'`;
  const said = await work.terminal(lines, join(node().directory, "typescript"), soon());
  t.regex(said, /20 90\r+\nit is\r+\n/);
});

test.serial(
  "run: a command that is not there or cannot be run, a rootfs without one: no task, and why",
  async (t) => {
    const refused = async (id: string, wanted: readonly string[], reason: RegExp): Promise<void> => {
      const { exitCode, stderr } = await ctr(...RUN, "--rm", ...wanted);
      t.not(exitCode, 0, id);
      t.regex(stderr, reason);
      t.is(await state(id), undefined);
    };
    await refused("missing", [PAUSE_IMAGE, "missing", "/nosuch"], /nosuch.*exit status 127/);
    await refused("unusable", [PAUSE_IMAGE, "unusable", "/etc"], /exit status 126/);
    const folder = join(node().directory, "empty");
    mkdirSync(folder);
    await refused("empty", ["--rootfs", folder, "empty", "sh"], /sh.*exit status 127/);
    // An image has a layer; here one with nothing in it.
    const image = "tapir.test/empty:1";
    const archive = join(node().directory, "empty.tar");
    writeFileSync(archive, ociArchive([{ name: image, layers: [tar([])], defaults: {} }]));
    t.is((await ctr("images", "import", archive)).exitCode, 0);
    await refused("layer", [image, "layer", "sh"], /sh.*exit status 127/);
  },
);

test.serial("a detached one: exec, pause, resume, metrics, signals, its end", async (t) => {
  const trap = "trap 'echo got it > /got' 37; echo ready > /ready; while :; do sleep 1; done";
  await ctr(...RUN, "--detach", PAUSE_IMAGE, "life", "sh", "-c", trap);
  t.is(await state("life"), "RUNNING");
  let execs = 0;
  const exec = (...rest: string[]) => ctr("task", "exec", "--exec-id", `e${execs++}`, ...rest);
  const both = await exec("life", "sh", "-c", "echo out; echo err >&2; exit 7");
  t.deepEqual([both.stdout, both.stderr, both.exitCode], ["out\n", "err\n", 7]);
  t.regex((await exec("life", "nosuch")).stderr, /exit status 127/);
  t.regex((await exec("--cwd", "/nosuch", "life", "sh")).stderr, /nosuch.*exit status 127/);
  // This image has no accounts.
  t.regex((await exec("--user", "nosuch", "life", "sh")).stderr, /etc\/passwd: no such file/);
  t.is((await exec("--user", "4711", "life", "id", "-u")).stdout, "4711\n");

  await ctr("task", "pause", "life");
  t.is(await state("life"), "PAUSED");
  t.regex((await exec("life", "true")).stderr, /it is paused/);
  await ctr("task", "resume", "life");
  t.is(await state("life"), "RUNNING");
  t.regex((await ctr("task", "resume", "life")).stderr, /it is running/);

  t.regex((await ctr("task", "metrics", "life")).stdout, /pids\.current +\d/);
  t.regex((await ctr("task", "checkpoint", "life")).stderr, /cannot be checkpointed/);
  t.regex((await ctr("task", "ps", "life")).stdout, /^\d+ /m);
  t.regex((await ctr("task", "delete", "life")).stderr, /must be stopped/);

  await until(async () => (await exec("life", "cat", "/ready")).stdout === "ready\n");
  await ctr("task", "kill", "--signal", "37", "life");
  await until(async () => (await exec("life", "cat", "/got")).stdout === "got it\n");
  await ctr("task", "kill", "--signal", "SIGKILL", "--all", "life");
  await until(async () => (await state("life")) === "STOPPED");
  t.regex((await ctr("task", "kill", "life")).stderr, /not found|ended/);
  t.regex((await exec("life", "true")).stderr, /it is stopped/);
  t.regex((await ctr("task", "delete", "life")).stderr, /exit code 137/);
  await ctr("container", "delete", "life");
  t.deepEqual(events("life").slice(-2), ["exit", "delete"]);
});

test.serial(
  "a network that comes after its creation: from a hook it is there at the start, by hand while it runs",
  async (t) => {
    const spec = await bareSpec();
    const seen = "/bin/busybox ip -o -4 address show eth0 > /seen";
    spec.process.args = ["/bin/sh", "-c", `${seen}; while :; do /bin/busybox sleep 1; done`];
    // As CNI does it: by the pid of the task.
    const plug = (name: string, network: string): string => `PATH=${process.env.PATH}
ip link add ${name}-node type veth peer name ${name} netns $pid
ip address add ${network}.1/24 dev ${name}-node && ip link set ${name}-node up
nsenter --net=/proc/$pid/ns/net sh -c 'ip address add ${network}.2/24 dev ${name} && ip link set ${name} up'`;
    const told = `PATH=${process.env.PATH}\npid=$(sed 's/.*"pid":\\([0-9]*\\).*/\\1/')`;
    const first = program("first-hook", `${told}\n${plug("eth0", "198.51.100")}`);
    const over = join(node().directory, "over");
    const last = program("last-hook", `cat > ${over}`);
    spec.hooks = { createRuntime: [{ path: first }], poststop: [{ path: last }] };
    const config = join(node().directory, "networked.json");
    writeFileSync(config, JSON.stringify(spec));
    const run = await ctr(...RUN, "--detach", "--config", config, "networked");
    t.is(run.exitCode, 0, run.stderr);
    const exec = (id: string, ...words: string[]) =>
      ctr("task", "exec", "--exec-id", id, "networked", "/bin/busybox", ...words);
    t.regex((await exec("look", "cat", "/seen")).stdout, /198\.51\.100\.2\/24/);
    const ping = (address: string) => work.shell(`ping -c 1 -W 20 ${address}`, soon());
    t.is((await ping("198.51.100.2")).exitCode, 0);
    const pid = Number(/^networked +(\d+)/m.exec((await ctr("task", "ls")).stdout)?.[1]);
    const byHand = await work.shell(`pid=${pid}\n${plug("eth1", "203.0.113")}`, soon());
    t.is(byHand.exitCode, 0, byHand.stderr);
    // Before it is plugged in, the namespace itself would answer a ping.
    const inGuest = /eth1 .*203\.0\.113\.2\/24/;
    await until(async () => inGuest.test((await exec("again", "ip", "-o", "-4", "address")).stdout));
    t.is((await ping("203.0.113.2")).exitCode, 0);
    const { configuration } = loadConfiguration({
      optionsPath: join(node().directory, "configuration.toml"),
    });
    const findings = findingsOf(
      sandboxDirectory(node().stateDirectory, "k8s.io", "networked"),
      configuration,
    );
    t.deepEqual(
      findings.filter(({ right }) => !right),
      [],
    );
    await ctr("task", "kill", "--signal", "SIGKILL", "networked");
    await until(async () => (await state("networked")) === "STOPPED");
    await ctr("task", "delete", "networked");
    await ctr("container", "delete", "networked");
    t.like(JSON.parse(readFileSync(over, "utf8")), { id: "networked", status: "stopped" });
  },
);

test.serial("log addresses: a file, a program", async (t) => {
  const { directory } = node();
  const logged = (id: string, address: string, script: string) =>
    ctr(...RUN, "--rm", "--log-uri", address, PAUSE_IMAGE, id, "sh", "-c", script);
  const file = join(directory, "some/where/out.log");
  await logged("logged", `file://${file}`, "echo to a file; echo too >&2");
  t.deepEqual(readFileSync(file, "utf8").trim().split("\n").toSorted(), ["to a file", "too"]);

  const logger = program(
    "logger",
    `echo "$CONTAINER_NAMESPACE $CONTAINER_ID $*" > "$2"
exec 5>&-
cat <&3 >> "$2"
cat <&4 >> "$2"`,
  );
  const out = join(directory, "program.log");
  const address = `binary://${logger}?to=${encodeURIComponent(out)}`;
  await logged("piped", address, "echo to a program; echo too >&2");
  t.deepEqual(readFileSync(out, "utf8").split("\n"), [`k8s.io piped to ${out}`, "to a program", "too", ""]);
});

test.serial("a fork bomb ends at the limit of processes, and does not hurt its guest", async (t) => {
  const spec = await bareSpec();
  spec.linux.resources = { ...spec.linux.resources, pids: { limit: 24 } };
  // What it has made stays, so that it can be counted.
  const bomb = "(while :; do sleep 1000 & done) 2> /dev/null & exec sleep 1000";
  spec.process.args = ["/bin/sh", "-c", bomb];
  const config = join(node().directory, "bomb.json");
  writeFileSync(config, JSON.stringify(spec));
  const run = await ctr(...RUN, "--detach", "--config", config, "bomb");
  t.is(run.exitCode, 0, run.stderr);
  const current = async (): Promise<number> =>
    Number(/pids\.current +(\d+)/.exec((await ctr("task", "metrics", "bomb")).stdout)?.[1]);
  await until(async () => (await current()) >= 20);
  t.true((await current()) <= 24);
  await ctr("task", "kill", "--signal", "SIGKILL", "bomb");
  await until(async () => (await state("bomb")) === "STOPPED");
  t.regex((await ctr("task", "delete", "bomb")).stderr, /exit code 137/);
  await ctr("container", "delete", "bomb");
});

test.serial("the VM of a container dies: it ends with 137", async (t) => {
  await ctr(...RUN, "--detach", PAUSE_IMAGE, "doomed");
  const pid = Number(/^doomed +(\d+)/m.exec((await ctr("task", "ls")).stdout)?.[1]);
  process.kill(pid, "SIGKILL");
  await until(async () => (await state("doomed")) === "STOPPED");
  t.regex((await ctr("task", "delete", "doomed")).stderr, /exit code 137/);
  await ctr("container", "delete", "doomed");
  t.deepEqual(events("doomed"), ["create", "start", "exit", "delete"]);
});

test.serial("the client of a container goes away: it waits with its output, and can be ended", async (t) => {
  const script = "while :; do echo line; done";
  const line = `ctr ${RUN.join(" ")} ${PAUSE_IMAGE} unread sh -c '${script}' > /dev/null & client=$!
until ctr task ls | grep -q 'unread .*RUNNING'; do sleep 0.2; done; kill -9 $client`;
  await work.shell(line, soon());
  t.is(await state("unread"), "RUNNING");
  await ctr("task", "kill", "--signal", "SIGKILL", "unread");
  await until(async () => (await state("unread")) === "STOPPED");
  t.regex((await ctr("task", "delete", "unread")).stderr, /exit code 137/);
  await ctr("container", "delete", "unread");
});
