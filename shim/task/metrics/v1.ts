import { type BlkIOEntry, Metrics } from "../../../proto/gen/containerd/metrics/v1.ts";
import type {
  CpuStats,
  IoStats,
  MemoryStats,
  StatsContainerResponse,
} from "../../../proto/gen/tapir/agent/v1/container.ts";

const NANOSECONDS_PER_MICROSECOND = 1000n;
/** What cgroup v1 shows where no limit is set: the largest multiple of a page in 63 bits. */
const NO_LIMIT = 0x7fff_ffff_ffff_f000n;
const UNLIMITED = 2n ** 64n - 1n;

/** The guest's counters, which are those of cgroup v2, under the names that cgroup v1 has for them. Pure. */
export function metricsV1(stats: StatsContainerResponse): Metrics {
  const { cpu, memory, pids, io, hugePages, network } = stats;
  return Metrics.fromPartial({
    ...(cpu === undefined ? {} : { cpu: cpuOf(cpu) }),
    ...(memory === undefined ? {} : memoryOf(memory)),
    ...(pids === undefined
      ? {}
      : { pids: { current: pids.current, limit: pids.limit === UNLIMITED ? 0n : pids.limit } }),
    blkio: {
      ioServiceBytesRecursive: io.flatMap((one) =>
        entries(one, one.readBytes, one.writtenBytes, one.discardedBytes),
      ),
      ioServicedRecursive: io.flatMap((one) => entries(one, one.reads, one.writes, one.discards)),
    },
    hugetlb: hugePages.map(({ pageSize, usageBytes, limitBytes, failures }) => ({
      pagesize: pageSize,
      usage: usageBytes,
      max: limit(limitBytes),
      failcnt: failures,
    })),
    network: network.map((one) => ({
      name: one.name,
      rxBytes: one.receivedBytes,
      rxPackets: one.receivedPackets,
      rxErrors: one.receiveErrors,
      rxDropped: one.receiveDropped,
      txBytes: one.sentBytes,
      txPackets: one.sentPackets,
      txErrors: one.sendErrors,
      txDropped: one.sendDropped,
    })),
  });
}

function cpuOf(cpu: CpuStats) {
  const nanoseconds = (microseconds: bigint): bigint => microseconds * NANOSECONDS_PER_MICROSECOND;
  return {
    usage: {
      total: nanoseconds(cpu.usageMicroseconds),
      user: nanoseconds(cpu.userMicroseconds),
      kernel: nanoseconds(cpu.systemMicroseconds),
    },
    throttling: {
      periods: cpu.periods,
      throttledPeriods: cpu.throttledPeriods,
      throttledTime: nanoseconds(cpu.throttledMicroseconds),
    },
  };
}

function memoryOf(memory: MemoryStats) {
  const stat = (name: string): bigint => memory.stat[name] ?? 0n;
  const event = (name: string): bigint => memory.events[name] ?? 0n;
  const counters = {
    cache: stat("file"),
    rss: stat("anon"),
    rssHuge: stat("anon_thp"),
    mappedFile: stat("file_mapped"),
    dirty: stat("file_dirty"),
    writeback: stat("file_writeback"),
    pgFault: stat("pgfault"),
    pgMajFault: stat("pgmajfault"),
    inactiveAnon: stat("inactive_anon"),
    activeAnon: stat("active_anon"),
    inactiveFile: stat("inactive_file"),
    activeFile: stat("active_file"),
    unevictable: stat("unevictable"),
  };
  // v2 counts a cgroup with all below it, so both sets are the same.
  const totals = Object.fromEntries(
    Object.entries(counters).map(([name, value]) => [
      `total${name[0]?.toUpperCase()}${name.slice(1)}`,
      value,
    ]),
  );
  const { usageBytes, limitBytes, peakBytes, swapUsageBytes, swapLimitBytes } = memory;
  const max = peakBytes === 0n ? usageBytes : peakBytes;
  // v1's counter of swap includes memory.
  const withSwap =
    limitBytes === UNLIMITED || swapLimitBytes === UNLIMITED ? UNLIMITED : limitBytes + swapLimitBytes;
  return {
    memory: {
      ...counters,
      ...totals,
      hierarchicalMemoryLimit: limit(limitBytes),
      hierarchicalSwapLimit: limit(withSwap),
      usage: { usage: usageBytes, limit: limit(limitBytes), max, failcnt: event("max") },
      swap: { usage: usageBytes + swapUsageBytes, limit: limit(withSwap), max: max + swapUsageBytes },
      kernel: { usage: stat("kernel"), limit: NO_LIMIT },
      kernelTcp: { usage: stat("sock"), limit: NO_LIMIT },
    },
    memoryOomControl: { oomKill: event("oom_kill") },
  };
}

function limit(bytes: bigint): bigint {
  return bytes === UNLIMITED || bytes > NO_LIMIT ? NO_LIMIT : bytes;
}

function entries(
  { major, minor }: IoStats,
  read: bigint,
  written: bigint,
  discarded: bigint,
): Partial<BlkIOEntry>[] {
  const place = { device: `${major}:${minor}`, major: BigInt(major), minor: BigInt(minor) };
  return [
    { ...place, op: "Read", value: read },
    { ...place, op: "Write", value: written },
    { ...place, op: "Discard", value: discarded },
    { ...place, op: "Total", value: read + written + discarded },
  ];
}
