// Requires root, containerd, CNI plugins, QEMU and what the set-up puts below build/.
// Processes in the containers of a pod, by the CRI: exec, attach, logs, terminals, streams.
import { readFileSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import test from "ava";
import { deadlineIn } from "../../sys/deadline.ts";
import { echo, shimOf, watchGrowth } from "../harness/echo.ts";
import { useNode } from "../harness/fixture.ts";
import { type TestPod, type Workloads, workloads } from "../harness/workload.ts";

const CASE_MS = 90_000;
/** A hundred times crictl and crun, on a machine that may have other things to do. */
const MANY_MS = 280_000;
/** By hand more: TAPIR_ECHO_MIB=1024 takes some minutes under TCG. */
const ECHO_MIB = Number(process.env.TAPIR_ECHO_MIB ?? 64);
/** What a busy stream needs is compiled, and its buffers are there. */
const WARM_UP_MIB = 8;
const ECHO_MS = 6_000 * (WARM_UP_MIB + ECHO_MIB);
/** Twice ECHO_MIB go through shim and guest, each time through several hands. */
const BOUND_MIB = 32;
const node = useNode(test);
const soon = () => deadlineIn(CASE_MS, "finish the case");
let work: Workloads;
let pod: TestPod;
let shell: string;

test.serial.before("a pod with one container", async () => {
  work = workloads(node());
  pod = await work.pod("main", soon());
  shell = await pod.start("shell", {}, soon());
});

test.serial("exec: output of both kinds, exit code, in the guest's kernel", async (t) => {
  const kernel = await work.exec(shell, ["uname", "-r"], soon());
  t.is(kernel.exitCode, 0, kernel.stderr);
  t.regex(kernel.stdout, /cloud/);
  t.not(kernel.stdout.trim(), release());
  const both = await work.exec(shell, ["sh", "-c", "echo out; echo err >&2; exit 7"], soon());
  t.is(both.stdout, "out\n");
  t.regex(both.stderr, /err\n.*exit code 7/s);
  t.not(both.exitCode, 0);
});

test.serial("exec: codes of a command that ends, is killed, is not there, cannot be run", async (t) => {
  const sync = await work.execSync(shell, ["sh", "-c", "echo err >&2; exit 9"], soon());
  t.is(sync.exitCode, 9);
  t.regex(sync.stderr, /err/);
  t.is((await work.execSync(shell, ["sh", "-c", "kill -USR1 $$"], soon())).exitCode, 128 + 10);
  t.is((await work.execSync(shell, ["sh", "-c", "kill -9 $$"], soon())).exitCode, 128 + 9);
  t.regex((await work.exec(shell, ["nosuch"], soon())).stderr, /nosuch.*not found.*exit status 127/s);
  t.regex((await work.exec(shell, ["/etc"], soon())).stderr, /exit status 126/);
  t.regex((await work.execSync(shell, ["nosuch"], soon())).stderr, /nosuch.*not found.*exit status 127/s);
});

test.serial(
  "probes: many short execs leave no descriptor with the shim and no process in the guest",
  async (t) => {
    const shim = shimOf(node(), pod.id);
    const probe = `for i in $(seq 4); do crictl exec --sync ${shell} cat /pause > /dev/null || echo failed; done; ls /proc/${shim}/fd | wc -l`;
    // By the shell alone: what counts is not to be counted, or not, as it comes.
    const ofGuest = "set -- /proc/[0-9]*; echo $#";
    const guests = async () => (await work.execSync(shell, ["sh", "-c", ofGuest], soon())).stdout;
    const [first, processes] = [await work.shell(probe, soon()), await guests()];
    const second = await work.shell(`${probe.replace("seq 4", "seq 12")}`, soon());
    t.is(second.stdout, first.stdout);
    t.is(await guests(), processes);
  },
);

test.serial("a probe that takes too long is killed, and told so", async (t) => {
  const line = ["exec", "--sync", "--timeout", "2", shell, "sh", "-c", "echo begun; exec sleep 4711"];
  const { exitCode, stderr } = await work.crictl(line, soon());
  t.not(exitCode, 0);
  t.regex(stderr, /timeout 2s exceeded|DeadlineExceeded/);
  const left = await work.execSync(
    shell,
    ["sh", "-c", "cat /proc/[0-9]*/cmdline | grep -c [4]711; true"],
    soon(),
  );
  t.is(left.stdout.trim(), "0");
});

test.serial("logs: both streams with their names; a last line without an end", async (t) => {
  const id = await pod.start(
    "logs",
    { command: ["sh", "-c", "echo one; echo two >&2; printf three"] },
    soon(),
  );
  t.is((await work.ended(id, soon())).exitCode, 0);
  const { stdout, stderr } = await work.crictl(["logs", id], soon());
  t.deepEqual([stdout, stderr], ["one\nthree", "two\n"]);
  const file = readFileSync(join(node().directory, "logs/main/logs.log"), "utf8");
  t.regex(file, /^\S+ stdout F one\n/m);
  t.regex(file, /^\S+ stderr F two\n/m);
  t.regex(file, /^\S+ stdout P three\n/m);
});

test.serial(
  "attach: input to its end, output of both kinds; the container ends with its input",
  async (t) => {
    const command = ["sh", "-c", "while read line; do echo got $line; echo err >&2; done; echo over; exit 3"];
    const id = await pod.start("attached", { command, stdin: true, stdin_once: true }, soon());
    const { stdout, stderr } = await work.shell(`(echo one; echo two) | crictl attach --stdin ${id}`, soon());
    t.is(stdout, "got one\ngot two\nover\n");
    t.is(stderr, "err\nerr\n");
    t.is((await work.ended(id, soon())).exitCode, 3);
    t.is((await work.crictl(["logs", id], soon())).stdout, stdout);
  },
);

test.serial("attach: who leaves a container with lasting input may come again", async (t) => {
  const command = ["sh", "-c", "while read line; do echo got $line; done"];
  const id = await pod.start("lasting", { command, stdin: true }, soon());
  for (const word of ["one", "two"]) {
    // It leaves as soon as its input ends.
    const file = join(node().directory, `attach-${word}`);
    const input = `(echo ${word}; until grep -q got ${file}; do sleep 0.1; done)`;
    await work.shell(`${input} | crictl attach --stdin ${id} > ${file}`, soon());
    t.is(readFileSync(file, "utf8"), `got ${word}\n`);
  }
  t.is((await work.status(id, soon())).state, "CONTAINER_RUNNING");
});

test.serial(
  "half-closed both ways: one that closes its output reads on, one that closes its input writes on",
  async (t) => {
    const reads = `head -c 300000 /dev/zero | crictl exec --interactive ${shell} sh -c 'exec >&-; busybox wc -c > /count'`;
    await work.shell(reads, soon());
    t.is((await work.exec(shell, ["cat", "/count"], soon())).stdout, "300000\n");
    const writes = `head -c 30000000 /dev/zero | crictl exec --interactive ${shell} sh -c 'exec <&-; sleep 1; echo done'`;
    t.is((await work.shell(writes, soon())).stdout, "done\n");
  },
);

test.serial("a terminal: one output, its size, and that it changes", async (t) => {
  const inside = `test -t 0 && test -t 1; until [ "$(stty size 2> /dev/null)" = "33 99" ]; do sleep 0.1; done; stty size; echo err >&2
trap "stty size; exit 4" WINCH; echo ready; while :; do sleep 0.1; done`;
  const typescript = join(node().directory, "typescript");
  // crictl tells the size once the process is there.
  const lines = `stty rows 33 cols 99
(until grep -q ready ${typescript}; do sleep 0.1; done; stty rows 40 cols 111 < /dev/tty) &
exec crictl exec -it ${shell} busybox sh -c '${inside}'`;
  const said = await work.terminal(lines, typescript, soon());
  t.regex(said, /^33 99\r\nerr\r\nready\r\n40 111\r\n.*exit code 4/s);
});

test.serial("100 execs in parallel, each with its own output", async (t) => {
  t.timeout(MANY_MS);
  const deadline = deadlineIn(MANY_MS, "run 100 execs");
  const numbers = Array.from({ length: 100 }, (_, index) => index);
  const results = await Promise.all(
    numbers.map((number) => work.execSync(shell, ["busybox", "echo", `number ${number}`], deadline)),
  );
  t.deepEqual(
    results.map(({ stdout, stderr }) => stdout.trim() || stderr),
    numbers.map((number) => `number ${number}`),
  );
});

test.serial("port-forward: to a server on loopback, and to one on the pod's address", async (t) => {
  const { addresses } = await node().crictl.inspectp(pod.id, soon());
  const serve = `mkdir /www; echo hello > /www/index.html; busybox httpd -p 127.0.0.1:8080 -h /www
exec busybox httpd -f -p ${addresses[0]}:8081 -h /www`;
  const web = await pod.start("web", { command: ["sh", "-c", serve] }, soon());
  const answers = (server: string): string => `until wget -q -O - http://${server}/; do sleep 0.1; done`;
  const listens = `${answers("127.0.0.1:8080")}; ${answers(`${addresses[0]}:8081`)}`;
  t.is((await work.exec(web, ["sh", "-c", listens], soon())).stdout, "hello\nhello\n");
  const log = join(node().directory, "forward.log");
  const { stdout, stderr } = await work.shell(
    `crictl port-forward ${pod.id} 18080:8080 18081:8081 > ${log} 2>&1 & forward=$!
until grep -q ':18081 ' ${log}; do sleep 0.1; done
curl -sf http://127.0.0.1:18080/; curl -sf http://127.0.0.1:18080/; curl -sf http://127.0.0.1:18081/
kill $forward; cat ${log} >&2`,
    soon(),
  );
  t.is(stdout, "hello\nhello\nhello\n", stderr);
});

test.serial(
  `${ECHO_MIB} MiB through cat and back: byte by byte the same, and shim and guest do not grow`,
  async (t) => {
    t.timeout(ECHO_MS);
    const deadline = deadlineIn(ECHO_MS, "echo");
    t.true((await echo(work, shell, WARM_UP_MIB, deadline)).exact);
    const echoing = echo(work, shell, ECHO_MIB, deadline);
    const { result, growth } = await watchGrowth(node(), pod.id, echoing);
    t.true(result.exact);
    t.true(growth.shim < BOUND_MIB && growth.guest < BOUND_MIB, JSON.stringify(growth));
    t.log(`${(ECHO_MIB / result.seconds).toFixed(1)} MiB/s, growth in MiB ${JSON.stringify(growth)}`);
  },
);
