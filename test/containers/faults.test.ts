// Requires root, containerd, CNI plugins, QEMU and what the set-up puts below build/.
// What containers live on dies or stalls: QEMU, the server of their files, a call to the guest.
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import test from "ava";
import { deadlineIn } from "../../sys/deadline.ts";
import { readMounts } from "../../sys/inventory/mountinfo.ts";
import { useNode } from "../harness/fixture.ts";
import { type Workloads, workloads } from "../harness/workload.ts";

const CASE_MS = 90_000;
const node = useNode(test);
const soon = () => deadlineIn(CASE_MS, "finish the case");
let work: Workloads;

test.serial.before("a node", () => {
  work = workloads(node());
});

/** Processes of `program` that serve the sandbox. */
function processesOf(program: string, sandbox: string): number[] {
  return readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const line = readFileSync(`/proc/${name}/cmdline`, "utf8");
      return line.split("\0")[0]?.includes(program) && line.includes(sandbox) ? [Number(name)] : [];
    } catch {
      return [];
    }
  });
}

async function doomed(name: string): Promise<{ readonly pod: string; readonly ids: readonly string[] }> {
  const pod = await work.pod(name, soon());
  return { pod: pod.id, ids: [await pod.start("a", {}, soon()), await pod.start("b", {}, soon())] };
}

test.serial("the VM is killed: every container ends with 137, and soon", async (t) => {
  const { pod, ids } = await doomed("killed");
  const exec = work.exec(ids[0] ?? "", ["sleep", "1000"], soon());
  process.kill((await node().crictl.inspectp(pod, soon())).pid, "SIGKILL");
  for (const id of ids) t.is((await work.ended(id, soon())).exitCode, 137);
  t.not((await exec).exitCode, 0);
  t.is((await node().crictl.inspectp(pod, soon())).state, "SANDBOX_NOTREADY");
  await node().crictl.rmp(pod, soon());
});

test.serial(
  "the server of the pod's files is killed: every container ends, and the log says why",
  async (t) => {
    const { pod, ids } = await doomed("unserved");
    const servers = processesOf("virtiofsd", pod);
    t.true(servers.length > 0);
    for (const pid of servers) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // The other one of the two goes with the first.
      }
    }
    for (const id of ids) t.is((await work.ended(id, soon())).exitCode, 137);
    t.is((await node().crictl.inspectp(pod, soon())).state, "SANDBOX_NOTREADY");
    const log = readFileSync(node().containerd.log, "utf8");
    t.regex(log, new RegExp(`virtiofsd.*${pod}|${pod}.*virtiofsd`));
    await node().crictl.rmp(pod, soon());
  },
);

test.serial(
  "a call to the guest stalls: containers beside it are looked at, signalled, ended, deleted",
  async (t) => {
    const pod = await work.pod("stalled", soon());
    // Whose program lies in the guest's memory: the kernel closes a file of a share with its server, the program's too,
    // and a process ends after that.
    const inMemory = "cp /bin/busybox /dev/busybox && exec /dev/busybox sleep 1000000";
    const beside = await pod.start("beside", { command: ["sh", "-c", inMemory] }, soon());
    const inItsPlace = soon();
    const programs = async (): Promise<string> =>
      (await work.execSync(beside, ["sh", "-c", "ls -l /proc/[0-9]*/exe"], inItsPlace)).stdout;
    while (!(await programs()).includes("-> /dev/busybox\n"));
    const neighbour = await pod.start("neighbour", {}, soon());
    // As many as the agent has threads for calls that wait.
    const names = Array.from({ length: 4 }, (_, index) => `waiting-${index}`);
    const waiting = await Promise.all(names.map((name) => pod.create(name, {}, soon())));
    const servers = processesOf("virtiofsd", pod.id);
    for (const pid of servers) process.kill(pid, "SIGSTOP");
    // The guest cannot read the new ones' files; nor anybody else's.
    const starting = Promise.all(waiting.map((id) => work.crictl(["start", id], soon())));
    starting.catch(() => undefined);
    try {
      // The host's part is done.
      const { signal } = soon();
      for (const id of waiting)
        while (!readMounts().some(({ target }) => target.includes(`/shared/${id}/`)))
          await pause(50, undefined, { signal });
      for (const id of [beside, neighbour])
        t.regex((await work.ctr(["task", "ls"], soon())).stdout, new RegExp(`${id} +\\d+ +RUNNING`));
      const began = performance.now();
      // It is told, although it cannot end.
      const told = await work.ctr(["task", "kill", "--signal", "SIGKILL", neighbour], soon());
      t.is(told.exitCode, 0, told.stderr);
      await work.ctr(["task", "kill", "--signal", "SIGKILL", beside], soon());
      t.is((await work.ended(beside, soon())).exitCode, 137);
      const removed = await work.crictl(["rm", beside], soon());
      t.is(removed.exitCode, 0, removed.stderr);
      t.true(performance.now() - began < 20_000);
    } finally {
      for (const pid of servers) process.kill(pid, "SIGCONT");
    }
    await starting;
    t.is((await work.ended(neighbour, soon())).exitCode, 137);
    for (const id of waiting) t.is((await work.status(id, soon())).state, "CONTAINER_RUNNING");
    await node().crictl.rmp(pod.id, soon());
  },
);
