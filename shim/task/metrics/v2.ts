import { MemoryStat, Metrics } from "../../../proto/gen/containerd/metrics/v2.ts";
import type { MemoryStats, StatsContainerResponse } from "../../../proto/gen/tapir/agent/v1/container.ts";

/** The guest's counters, as they are. Pure. */
export function metricsV2(stats: StatsContainerResponse): Metrics {
  const { cpu, memory, pids, io, hugePages } = stats;
  return Metrics.fromPartial({
    ...(pids === undefined ? {} : { pids }),
    ...(cpu === undefined
      ? {}
      : {
          cpu: {
            usageUsec: cpu.usageMicroseconds,
            userUsec: cpu.userMicroseconds,
            systemUsec: cpu.systemMicroseconds,
            nrPeriods: cpu.periods,
            nrThrottled: cpu.throttledPeriods,
            throttledUsec: cpu.throttledMicroseconds,
          },
        }),
    ...(memory === undefined ? {} : { memory: memoryOf(memory), memoryEvents: eventsOf(memory) }),
    io: {
      usage: io.map((one) => ({
        major: BigInt(one.major),
        minor: BigInt(one.minor),
        rbytes: one.readBytes,
        wbytes: one.writtenBytes,
        rios: one.reads,
        wios: one.writes,
      })),
    },
    hugetlb: hugePages.map(({ pageSize, usageBytes, limitBytes }) => ({
      pagesize: pageSize,
      current: usageBytes,
      max: limitBytes,
    })),
  });
}

/** The message's fields have the names of memory.stat. */
function memoryOf({ stat, ...memory }: MemoryStats): MemoryStat {
  const byName = Object.fromEntries(
    Object.keys(MemoryStat.fromPartial({})).map((field) => [field, stat[snakeCase(field)] ?? 0n]),
  );
  return MemoryStat.fromPartial({
    ...byName,
    usage: memory.usageBytes,
    usageLimit: memory.limitBytes,
    swapUsage: memory.swapUsageBytes,
    swapLimit: memory.swapLimitBytes,
    maxUsage: memory.peakBytes,
  });
}

function eventsOf({ events }: MemoryStats) {
  return {
    low: events.low ?? 0n,
    high: events.high ?? 0n,
    max: events.max ?? 0n,
    oom: events.oom ?? 0n,
    oomKill: events.oom_kill ?? 0n,
  };
}

/** pgmajfault stays, inactiveFile becomes inactive_file. */
function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
