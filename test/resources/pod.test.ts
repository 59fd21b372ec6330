// Requires root, containerd, CNI plugins, /dev/net/tun, qemu-system-x86_64, and crictl, guest image and shim below build/.
// What containers may use: the VM grows for it, the guest keeps them to it.
import test from "ava";
import { useNode } from "../harness/fixture.ts";
import { crictlOk, FOREVER, startPod, type TestPod } from "./containers.ts";

const MIB = 1024 * 1024;
const node = useNode(test);

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
