import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { cgroupFolders, cgroupHierarchies, countsMemory } from "../../sys/cgroup.ts";

const MANIFEST = join(import.meta.dirname, "../../configs/kubernetes/runtimeclass.yaml");

/** What Kubernetes adds to a pod's requests and limits, and what a pod's cgroup on the node has used. */
export interface Overhead {
  readonly memoryMiB: number;
  readonly cpuMilliseconds: number;
}

/** What the RuntimeClass declares; of a CPU, in a second. */
export function declaredOverhead(): Overhead {
  const text = readFileSync(MANIFEST, "utf8");
  return {
    memoryMiB: Number(/^ {4}memory: "(\d+)Mi"$/m.exec(text)?.[1]),
    cpuMilliseconds: Number(/^ {4}cpu: "(\d+)m"$/m.exec(text)?.[1]),
  };
}

/** As kubelet counts: without what is easily dropped. The processor's time is since the cgroup was made. */
export function usedBy(cgroup: string): Overhead {
  const folders = cgroupHierarchies().map((hierarchy) => cgroupFolders(hierarchy, cgroup).at(-1) ?? "");
  const memory = folders.find(countsMemory) ?? "";
  const used = read(memory, ["memory.usage_in_bytes", "memory.current"]);
  const dropped = /^(?:total_)?inactive_file (\d+)$/m.exec(read(memory, ["memory.stat"]))?.[1];
  const time = ["cpuacct.usage", "cpu.stat"] as const;
  const cpu = folders.find((folder) => time.some((name) => timeIn(folder, name) !== undefined)) ?? "";
  return {
    memoryMiB: (Number(used) - Number(dropped)) / 2 ** 20,
    cpuMilliseconds: timeIn(cpu, "cpuacct.usage") ?? timeIn(cpu, "cpu.stat") ?? Number.NaN,
  };
}

function read(folder: string, names: readonly string[]): string {
  const name = names.find((one) => existsSync(join(folder, one))) ?? names[0] ?? "";
  return readFileSync(join(folder, name), "utf8");
}

/** Version 1 counts nanoseconds in a file of their own, version 2 microseconds among others. */
function timeIn(folder: string, name: "cpuacct.usage" | "cpu.stat"): number | undefined {
  if (!existsSync(join(folder, name))) return undefined;
  const text = readFileSync(join(folder, name), "utf8");
  if (name === "cpuacct.usage") return Number(text) / 1e6;
  const microseconds = /^usage_usec (\d+)$/m.exec(text)?.[1];
  return microseconds === undefined ? undefined : Number(microseconds) / 1000;
}
