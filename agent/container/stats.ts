import { readdirSync, readFileSync } from "node:fs";
import type {
  CpuStats,
  HugePageStats,
  IoStats,
  MemoryStats,
  NetworkStats,
  PidsStats,
  StatsContainerResponse,
} from "../../proto/gen/tapir/agent/v1/container.ts";
import { errnoOf } from "../../sys/error.ts";
import { NO_LIMIT, parseFlat, parseLimit, parseNested } from "./flat-file.ts";

const NETWORK = "/sys/class/net";

/** The counters of a cgroup (cgroup-v2.rst) and of the guest's network; a file that is not there counts as zeros. */
export function readStats(folder: string): StatsContainerResponse {
  const read = (name: string): string => readIfThere(`${folder}/${name}`);
  return {
    cpu: cpuStats(read("cpu.stat")),
    memory: memoryStats(read),
    pids: pidsStats(read),
    io: ioStats(read("io.stat")),
    hugePages: hugePageStats(folder, read),
    network: networkStats(),
    unixTimeNanoseconds: BigInt(Date.now()) * 1_000_000n,
  };
}

function cpuStats(text: string): CpuStats {
  const values = parseFlat(text);
  const value = (key: string): bigint => values.get(key) ?? 0n;
  return {
    usageMicroseconds: value("usage_usec"),
    userMicroseconds: value("user_usec"),
    systemMicroseconds: value("system_usec"),
    periods: value("nr_periods"),
    throttledPeriods: value("nr_throttled"),
    throttledMicroseconds: value("throttled_usec"),
  };
}

type Read = (name: string) => string;

function memoryStats(read: Read): MemoryStats {
  return {
    usageBytes: number(read("memory.current")),
    limitBytes: parseLimit(read("memory.max")),
    peakBytes: number(read("memory.peak")),
    swapUsageBytes: number(read("memory.swap.current")),
    swapLimitBytes: parseLimit(read("memory.swap.max")),
    stat: Object.fromEntries(parseFlat(read("memory.stat"))),
    events: Object.fromEntries(parseFlat(read("memory.events"))),
  };
}

function pidsStats(read: Read): PidsStats {
  return { current: number(read("pids.current")), limit: parseLimit(read("pids.max")) };
}

function ioStats(text: string): IoStats[] {
  return [...parseNested(text)].map(([device, values]) => {
    const [major = 0, minor = 0] = device.split(":").map(Number);
    const value = (key: string): bigint => values.get(key) ?? 0n;
    return {
      major,
      minor,
      readBytes: value("rbytes"),
      writtenBytes: value("wbytes"),
      reads: value("rios"),
      writes: value("wios"),
      discardedBytes: value("dbytes"),
      discards: value("dios"),
    };
  });
}

function hugePageStats(folder: string, read: Read): HugePageStats[] {
  const sizes = list(folder).flatMap((name) => /^hugetlb\.(\w+)\.current$/.exec(name)?.[1] ?? []);
  return sizes.map((pageSize) => ({
    pageSize,
    usageBytes: number(read(`hugetlb.${pageSize}.current`)),
    limitBytes: parseLimit(read(`hugetlb.${pageSize}.max`)),
    failures: parseFlat(read(`hugetlb.${pageSize}.events`)).get("max") ?? 0n,
  }));
}

function networkStats(): NetworkStats[] {
  const names = list(NETWORK).filter((name) => name !== "lo");
  return names.map((name) => {
    const value = (counter: string): bigint =>
      number(readIfThere(`${NETWORK}/${name}/statistics/${counter}`));
    return {
      name,
      receivedBytes: value("rx_bytes"),
      receivedPackets: value("rx_packets"),
      receiveErrors: value("rx_errors"),
      receiveDropped: value("rx_dropped"),
      sentBytes: value("tx_bytes"),
      sentPackets: value("tx_packets"),
      sendErrors: value("tx_errors"),
      sendDropped: value("tx_dropped"),
    };
  });
}

function number(text: string): bigint {
  const value = parseLimit(text);
  return value === NO_LIMIT ? 0n : value;
}

function list(folder: string): string[] {
  return ifThere(() => readdirSync(folder)) ?? [];
}

function readIfThere(path: string): string {
  return ifThere(() => readFileSync(path, "latin1")) ?? "";
}

function ifThere<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    const errno = errnoOf(error);
    // EINVAL: a counter of a link that is down.
    if (errno === "ENOENT" || errno === "ENODEV" || errno === "EINVAL" || errno === "EOPNOTSUPP")
      return undefined;
    throw error;
  }
}
