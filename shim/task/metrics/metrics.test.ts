import test from "ava";
import { Metrics as MetricsV1 } from "../../../proto/gen/containerd/metrics/v1.ts";
import { Metrics as MetricsV2 } from "../../../proto/gen/containerd/metrics/v2.ts";
import { StatsContainerResponse } from "../../../proto/gen/tapir/agent/v1/container.ts";
import { packMetrics } from "./metrics.ts";

const UNLIMITED = 2n ** 64n - 1n;
/** As cgroup v1 shows it. */
const NO_LIMIT = 0x7fff_ffff_ffff_f000n;
const MIB = 1n << 20n;

/** Each number once, so that none can stand for another. */
const STATS = StatsContainerResponse.fromPartial({
  cpu: {
    usageMicroseconds: 3001n,
    userMicroseconds: 2000n,
    systemMicroseconds: 1001n,
    periods: 11n,
    throttledPeriods: 12n,
    throttledMicroseconds: 13n,
  },
  memory: {
    usageBytes: 40n * MIB,
    limitBytes: 64n * MIB,
    peakBytes: 50n * MIB,
    swapUsageBytes: 2n * MIB,
    swapLimitBytes: 6n * MIB,
    stat: {
      anon: 21n,
      file: 22n,
      inactive_file: 23n,
      active_file: 24n,
      pgfault: 25n,
      pgmajfault: 26n,
      kernel: 27n,
    },
    events: { low: 31n, high: 32n, max: 33n, oom: 34n, oom_kill: 35n },
  },
  pids: { current: 41n, limit: 42n },
  io: [
    {
      major: 254,
      minor: 16,
      readBytes: 51n,
      writtenBytes: 52n,
      reads: 53n,
      writes: 54n,
      discardedBytes: 55n,
      discards: 56n,
    },
  ],
  hugePages: [{ pageSize: "2MB", usageBytes: 61n, limitBytes: UNLIMITED, failures: 62n }],
  network: [{ name: "eth0", receivedBytes: 71n, sentBytes: 72n, receivedPackets: 73n, sentPackets: 74n }],
});

const v1 = (stats: StatsContainerResponse): MetricsV1 => {
  const { typeUrl, value } = packMetrics(stats, false);
  if (typeUrl !== "io.containerd.cgroups.v1.Metrics") throw new Error(typeUrl);
  return MetricsV1.decode(value);
};
const v2 = (stats: StatsContainerResponse): MetricsV2 => {
  const { typeUrl, value } = packMetrics(stats, true);
  if (typeUrl !== "io.containerd.cgroups.v2.Metrics") throw new Error(typeUrl);
  return MetricsV2.decode(value);
};

test("cgroup v1: nanoseconds, swap that includes memory, and what cadvisor takes off", (t) => {
  const { cpu, memory, memoryOomControl, pids, blkio, hugetlb, network } = v1(STATS);
  t.like(cpu?.usage, { total: 3_001_000n, user: 2_000_000n, kernel: 1_001_000n });
  t.like(cpu?.throttling, { periods: 11n, throttledPeriods: 12n, throttledTime: 13_000n });
  t.like(memory, {
    ...{ rss: 21n, cache: 22n, inactiveFile: 23n, activeFile: 24n, pgFault: 25n, pgMajFault: 26n },
    ...{ totalRss: 21n, totalCache: 22n, totalInactiveFile: 23n, totalActiveFile: 24n },
    ...{ hierarchicalMemoryLimit: 64n * MIB, hierarchicalSwapLimit: 70n * MIB },
    usage: { usage: 40n * MIB, limit: 64n * MIB, max: 50n * MIB, failcnt: 33n },
    swap: { usage: 42n * MIB, limit: 70n * MIB, max: 52n * MIB, failcnt: 0n },
  });
  t.is(memory?.kernel?.usage, 27n);
  t.is(memoryOomControl?.oomKill, 35n);
  t.like(pids, { current: 41n, limit: 42n });
  const counted = (entries: readonly { op: string; value: bigint }[] = []) =>
    entries.map(({ op, value }) => `${op} ${value}`);
  t.deepEqual(counted(blkio?.ioServiceBytesRecursive), ["Read 51", "Write 52", "Discard 55", "Total 158"]);
  t.deepEqual(counted(blkio?.ioServicedRecursive), ["Read 53", "Write 54", "Discard 56", "Total 163"]);
  t.like(hugetlb[0], { pagesize: "2MB", usage: 61n, max: NO_LIMIT, failcnt: 62n });
  t.like(network[0], { name: "eth0", rxBytes: 71n, txBytes: 72n, rxPackets: 73n, txPackets: 74n });
});

test("cgroup v2: the numbers as they are", (t) => {
  const { cpu, memory, memoryEvents, pids, io, hugetlb } = v2(STATS);
  t.like(cpu, { usageUsec: 3001n, userUsec: 2000n, systemUsec: 1001n });
  t.like(cpu, { nrPeriods: 11n, nrThrottled: 12n, throttledUsec: 13n });
  t.like(memory, {
    ...{ anon: 21n, file: 22n, inactiveFile: 23n, activeFile: 24n, pgfault: 25n, pgmajfault: 26n },
    ...{ usage: 40n * MIB, usageLimit: 64n * MIB, maxUsage: 50n * MIB },
    ...{ swapUsage: 2n * MIB, swapLimit: 6n * MIB },
  });
  t.like(memoryEvents, { low: 31n, high: 32n, max: 33n, oom: 34n, oomKill: 35n });
  t.like(pids, { current: 41n, limit: 42n });
  t.like(io?.usage[0], { major: 254n, minor: 16n, rbytes: 51n, wbytes: 52n, rios: 53n, wios: 54n });
  t.like(hugetlb[0], { pagesize: "2MB", current: 61n, max: UNLIMITED });
});

test("no limit is what each version has for it", (t) => {
  const { memory = undefined } = STATS;
  if (memory === undefined) return t.fail();
  const endless = {
    ...STATS,
    memory: { ...memory, limitBytes: UNLIMITED, swapLimitBytes: UNLIMITED, peakBytes: 0n },
    pids: { current: 41n, limit: UNLIMITED },
  };
  const first = v1(endless);
  t.like(first.memory?.usage, { limit: NO_LIMIT, max: 40n * MIB });
  t.is(first.memory?.swap?.limit, NO_LIMIT);
  t.is(first.pids?.limit, 0n);
  const second = v2(endless);
  t.like(second.memory, { usageLimit: UNLIMITED, swapLimit: UNLIMITED });
  t.is(second.pids?.limit, UNLIMITED);
});

test("a guest that tells nothing has no counters, and none is made up", (t) => {
  const nothing = StatsContainerResponse.fromPartial({});
  t.like(v1(nothing), { cpu: undefined, memory: undefined, pids: undefined, hugetlb: [], network: [] });
  t.like(v2(nothing), { cpu: undefined, memory: undefined, memoryEvents: undefined, pids: undefined });
});
