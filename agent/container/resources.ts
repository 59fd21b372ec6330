import type { OciResources } from "./oci.ts";

/** Limits of which crun makes cgroup files that every guest has. */
const MEMORY = ["limit", "reservation", "swap", "checkBeforeUpdate"] as const;
/** Counters and switches of cgroup v1, which v2 has not. */
const NOT_MEMORY = ["kernel", "kernelTCP", "swappiness", "disableOOMKiller"] as const;
const CPU = ["shares", "quota", "period", "burst", "idle"] as const;
/** Host CPUs and memory nodes, and real-time budgets, which cgroup v2 has not. */
const NOT_CPU = ["cpus", "mems", "realtimeRuntime", "realtimePeriod"] as const;
/** cgroup v1's, or of devices the guest has not got. */
const NOT_HONOURED = ["blockIO", "network", "rdma"] as const;
const UNIFIED = /^(memory|cpu|pids|hugetlb)\.[a-z0-9_.]+$/i;

/**
 * The limits that the guest can keep, device rules apart, and a line for each that it cannot. `hugePages` are the sizes that
 * it has.
 */
export function guestResources(
  wanted: OciResources,
  hugePages: ReadonlySet<string>,
): { resources: OciResources; ignored: string[] } {
  const { memory, cpu, pids, hugepageLimits = [], unified } = wanted;
  const ignored: string[] = [];
  for (const name of NOT_MEMORY) {
    const value = memory?.[name];
    if (isSet(value))
      ignored.push(`memory ${name} ${JSON.stringify(value)}: cgroups of version 2 do not have it`);
  }
  for (const name of NOT_CPU) {
    const value = cpu?.[name];
    if (isSet(value))
      ignored.push(`cpu ${name} ${JSON.stringify(value)}: the guest has CPUs and memory of its own`);
  }
  for (const name of NOT_HONOURED) {
    const value = wanted[name];
    if (isSet(value)) ignored.push(`${name} limits: the guest has other devices than the host`);
  }
  for (const { pageSize, limit } of hugepageLimits) {
    // None of what is not there is what there is of it.
    if (!hugePages.has(pageSize) && isSet(limit))
      ignored.push(
        `limit of huge pages of ${JSON.stringify(pageSize.slice(0, 32))}: the guest has none of that size`,
      );
  }
  const huge = hugepageLimits.filter(({ pageSize }) => hugePages.has(pageSize));
  const files = Object.entries(unified ?? {});
  for (const [name] of files)
    if (!UNIFIED.test(name)) ignored.push(`cgroup file ${JSON.stringify(name)}: the guest's is its own`);
  const resources: OciResources = {
    ...(memory === undefined ? {} : { memory: pick(memory, MEMORY) }),
    ...(cpu === undefined ? {} : { cpu: pick(cpu, CPU) }),
    ...(isSet(pids) ? { pids } : {}),
    ...(huge.length === 0 ? {} : { hugepageLimits: huge }),
    ...(files.length === 0
      ? {}
      : { unified: Object.fromEntries(files.filter(([name]) => UNIFIED.test(name))) }),
  };
  return { resources, ignored };
}

/** Go writes what is not set as nothing, null, 0, false or an empty list. */
function isSet(value: unknown): boolean {
  if (value === undefined || value === null || value === 0 || value === "" || value === false) return false;
  if (typeof value !== "object") return true;
  return Object.values(value).some(isSet);
}

function pick(from: Readonly<Record<string, unknown>>, names: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(from).filter(([name, value]) => names.includes(name) && value !== null),
  );
}
