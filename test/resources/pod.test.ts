// Requires root, containerd, CNI plugins, /dev/net/tun, qemu-system-x86_64, and crictl, guest image and shim below build/.
// What containers may use: the VM grows for it, the guest keeps them to it.
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import test from "ava";
import { cgroupFolders, cgroupHierarchies, countsMemory } from "../../sys/cgroup.ts";
import { deadlineIn } from "../../sys/deadline.ts";
import { mount, unmount } from "../../sys/mount.ts";
import { useNode } from "../harness/fixture.ts";
import { crictlOk, FOREVER, startPod, type TestPod } from "./containers.ts";
import { numbersIn } from "./fields.ts";
import { declaredOverhead, usedBy } from "./overhead.ts";

const MIB = 1024 * 1024;
const IDLE_MS = 4_000;
// What the RuntimeClass declares is for a pod as it is shipped.
const node = useNode(test, { tbSizeMiB: undefined });

let pod: TestPod;
let observer: string;
let large: string;
let startMiB: number;

test.serial("a container without limits changes nothing", async (t) => {
  pod = await startPod(node(), "limits");
  observer = await pod.run("observer", { script: FOREVER });
  startMiB = await memoryTotalMiB();
  t.true(startMiB < 256);
  t.is(await pod.exec(observer, "busybox nproc"), "1");
});

test.serial("an idle pod takes no more beside its container than the RuntimeClass says", async (t) => {
  const cgroup = `/${node().mark}/${pod.id}`;
  const declared = declaredOverhead();
  const before = usedBy(cgroup);
  const start = performance.now();
  await setTimeout(IDLE_MS);
  const after = usedBy(cgroup);
  const { memory } = JSON.parse(await metricsOf(observer)) as MetricsV1;
  const memoryMiB = after.memoryMiB - (memory.usage.usage - memory.total_inactive_file) / MIB;
  const cpu = ((after.cpuMilliseconds - before.cpuMilliseconds) * 1000) / (performance.now() - start);
  t.log(`beside its container: ${memoryMiB.toFixed(1)} MiB, ${cpu.toFixed(0)} ms of processor time a second`);
  t.true(memoryMiB > 0 && memoryMiB <= declared.memoryMiB, `${memoryMiB} MiB`);
  t.true(cpu <= declared.cpuMilliseconds, `${cpu} ms of processor time a second`);
});

async function memoryTotalMiB(): Promise<number> {
  const line = await pod.exec(observer, "busybox grep MemTotal /proc/meminfo");
  return Number(/(\d+) kB/.exec(line)?.[1]) / 1024;
}

test.serial(
  "two CPUs and 512 MiB: the guest has them, and its cgroup holds the container to them",
  async (t) => {
    const start = performance.now();
    const resources = { cpu_period: 100_000, cpu_quota: 200_000, memory_limit_in_bytes: 512 * MIB };
    large = await pod.run("large", { script: FOREVER, resources });
    t.log(`container with limits: ${(performance.now() - start).toFixed(0)} ms`);
    const seen = await pod.exec(
      large,
      "busybox nproc; cat /sys/fs/cgroup/cpu.max /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory.swap.max",
    );
    t.deepEqual(seen.split("\n").slice(1, 3), ["200000 100000", String(512 * MIB)]);
    t.is(Number(seen.split("\n")[0]), 2);
    t.is(Math.round((await memoryTotalMiB()) - startMiB), 512);
  },
);

test.serial("crictl update changes the limits, and the VM with them", async (t) => {
  await crictlOk(node(), ["update", "--cpu-quota", "50000", "--memory", String(700 * MIB), large]);
  const seen = await pod.exec(large, "cat /sys/fs/cgroup/cpu.max /sys/fs/cgroup/memory.max");
  t.deepEqual(seen.split("\n"), ["50000 100000", String(700 * MIB)]);
  t.is(Math.round((await memoryTotalMiB()) - startMiB), 768);
});

test.serial("when the container is gone its CPUs and memory are given back", async (t) => {
  const start = performance.now();
  await pod.remove(large);
  const script = `
    memory() { busybox awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo; }
    while [ "$(memory)" -gt ${Math.ceil(startMiB)} ] || [ "$(busybox nproc)" != 1 ]; do busybox usleep 200000; done; echo back`;
  t.is(await pod.exec(observer, script), "back");
  t.log(`given back after ${(performance.now() - start).toFixed(0)} ms`);
  t.is(await memoryTotalMiB(), startMiB);
});

test.serial(
  "a container that eats its limit is OOMKilled; the pod and its other containers live",
  async (t) => {
    const resources = { memory_limit_in_bytes: 64 * MIB };
    const eater = await pod.create("eater", {
      script:
        "busybox dd if=/dev/zero of=/dev/null bs=200M count=1; exec busybox dd if=/dev/zero of=/dev/null bs=200M count=1",
      resources,
    });
    await crictlOk(node(), ["start", eater]);
    await t.notThrowsAsync(ended(eater));
    // containerd says so when it was told of a TaskOOM.
    t.deepEqual(await pod.inspect(eater), { state: "CONTAINER_EXITED", reason: "OOMKilled", exitCode: 137 });
    await pod.remove(eater);
    t.is(await pod.exec(observer, "echo here"), "here");
    t.is(
      (await node().crictl.inspectp(pod.id, deadlineIn(10_000, "inspect the pod"))).state,
      "SANDBOX_READY",
    );
  },
);

/** Resolves when a container has ended: it waits for that, nothing tells crictl. */
async function ended(container: string): Promise<void> {
  const limit = deadlineIn(30_000, `see the end of ${container}`);
  while ((await pod.inspect(container)).state !== "CONTAINER_EXITED") {
    limit.signal.throwIfAborted();
    await setTimeout(200);
  }
}

test.serial("an emptyDir in memory is as large as it is told to be: then there is no space", async (t) => {
  const volume = join(node().directory, "kubernetes.io~empty-dir/scratch");
  mkdirSync(volume, { recursive: true });
  mount({ source: "tmpfs", target: volume, type: "tmpfs", flags: 0, data: "size=2m" });
  t.teardown(() => unmount(volume));
  const writer = await pod.run("writer", {
    script: FOREVER,
    mounts: [{ container_path: "/scratch", host_path: volume }],
  });
  const said = await pod.exec(
    writer,
    "busybox dd if=/dev/zero of=/scratch/f bs=64k count=100 2>&1; busybox stat -c %s /scratch/f; busybox df -k /dev/shm | busybox tail -1",
  );
  t.regex(said, /No space left on device/);
  t.regex(said, new RegExp(`^${2 * MIB}$`, "m"));
  t.regex(said, /65536 .* \/dev\/shm$/);
  await pod.remove(writer);
});

test.serial("counters: what runc tells of a container and a pod, Tapir tells as well", async (t) => {
  const peer = await startPod(node(), "peer", "runc");
  const script = `busybox dd if=/bin/busybox of=/tmp/f 2>/dev/null; ${FOREVER}`;
  const resources = { memory_limit_in_bytes: 64 * MIB, cpu_period: 100_000, cpu_quota: 50_000 };
  const read = async (one: TestPod) => {
    const container = await one.run("counted", { script, resources });
    await one.exec(container, "busybox dd if=/dev/zero of=/dev/null bs=1k count=1000 2>/dev/null");
    const ofContainer = await crictlOk(node(), ["stats", "--output", "json", container]);
    const ofPod = await crictlOk(node(), ["statsp", "--output", "json", "--id", one.id]);
    const metrics = await metricsOf(container);
    return { stats: JSON.parse(ofContainer), statsp: JSON.parse(ofPod), metrics: JSON.parse(metrics) };
  };
  const [runc, tapir] = [await read(peer), await read(pod)];
  for (const kind of ["stats", "statsp", "metrics"] as const) {
    const told = numbersIn(tapir[kind]);
    const missing = [...numbersIn(runc[kind])].filter((path) => !told.has(path));
    t.deepEqual(
      missing.filter((path) => !COMES_AND_GOES.test(path) && !ONLY_VERSION_1.test(path)),
      [],
      kind,
    );
  }
  // What cadvisor makes of the counters: usage without the files that are easily dropped.
  const { memory } = tapir.metrics as MetricsV1;
  t.is(memory.usage.limit, 64 * MIB);
  t.true(memory.usage.usage - memory.total_inactive_file > 0 && memory.rss > 0);
});

interface MetricsV1 {
  readonly memory: {
    readonly usage: { readonly usage: number; readonly limit: number };
    readonly total_inactive_file: number;
    readonly rss: number;
  };
}

/** Not there at every moment, or containerd's own. */
const COMES_AND_GOES =
  /(majorPageFaults|pg_maj_fault|usageNanoCores|dirty|writeback|throttl.*|mapped_file|active_.*|Errors)(\.value)?$|writableLayer/i;
/** The guest has cgroups of version 2, whose kernel does not count these. */
const ONLY_VERSION_1 = /per_cpu|pg_pg_(in|out)$|kernel\.max$|kernel_tcp/;

async function metricsOf(container: string): Promise<string> {
  const args = ["--address", node().containerd.socket, "--namespace", "k8s.io"];
  const { stdout } = await node().run(
    "ctr",
    [...args, "task", "metrics", "--format", "json", container],
    deadlineIn(20_000, "read metrics"),
  );
  return stdout;
}

test.serial(
  "the pod's cgroup on the node holds QEMU and the server of its files, in every hierarchy",
  async (t) => {
    const { pid } = await node().crictl.inspectp(pod.id, deadlineIn(10_000, "inspect the pod"));
    let counted = false;
    for (const hierarchy of cgroupHierarchies()) {
      const folder = cgroupFolders(hierarchy, `/${node().mark}/${pod.id}`).at(-1) ?? "";
      const pids = readFileSync(join(folder, "cgroup.procs"), "utf8").split("\n").filter(Boolean);
      const programs = pids.map((one) => readFileSync(`/proc/${one}/comm`, "utf8").trim());
      t.true(pids.includes(String(pid)), `QEMU in ${folder}`);
      // It forks.
      t.is(programs.filter((one) => one === "virtiofsd").length, 2, folder);
      if (!countsMemory(folder)) continue;
      counted = true;
      // The guest's memory is that of QEMU, though the shim has filled it.
      const bytes = Number(/^shmem (\d+)$/m.exec(readFileSync(join(folder, "memory.stat"), "utf8"))?.[1]);
      const mapped = Number(/^RssShmem:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
      t.log(`shared memory: ${bytes >> 20} MiB counted, ${mapped >> 10} MiB mapped by QEMU`);
      t.true(bytes >= mapped * 1024 * 0.9);
    }
    t.true(counted);
  },
);
