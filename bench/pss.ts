import { readdirSync, readFileSync } from "node:fs";
import { readProc } from "../sys/identity.ts";

/** What a process takes of the machine's memory, in MiB. */
export interface ProcessMemory {
  /** Its own pages, and its share of those that others map too. */
  readonly pssMib: number;
  readonly rssMib: number;
}

/** Zero for a process that is gone. */
export function memoryOf(pid: number): ProcessMemory {
  const text = readProc(`/proc/${pid}/smaps_rollup`) ?? "";
  const mib = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(text)?.[1] ?? 0) / 1024;
  return { pssMib: mib("Pss"), rssMib: mib("Rss") };
}

/** A process with its command line. */
export interface RunningProcess {
  readonly pid: number;
  readonly parent: number;
  readonly argv: readonly string[];
}

/** Every process of the machine; kernel threads have no arguments. */
export function listProcesses(): RunningProcess[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      const stat = readProc(`/proc/${name}/stat`);
      const argv = readProc(`/proc/${name}/cmdline`)?.split("\0").slice(0, -1);
      if (stat === undefined || argv === undefined) return [];
      const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
      return [{ pid: Number(name), parent, argv }];
    });
}

/** A line of /proc/meminfo in MiB. */
export function machineMib(name: "MemAvailable" | "Shmem"): number {
  const text = readFileSync("/proc/meminfo", "latin1");
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(text)?.[1] ?? Number.NaN) / 1024;
}
