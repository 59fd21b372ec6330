import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { type Descriptor, readDescriptors } from "./descriptors.ts";

/** What a process may do and see, as /proc tells (proc_pid_status(5), capabilities(7), namespaces(7)). */
export interface Confinement {
  readonly pid: number;
  readonly program: string;
  readonly user: number;
  readonly group: number;
  readonly groups: readonly number[];
  /** Names, lower-case, without "cap_": what it may use or get back. */
  readonly capabilities: readonly string[];
  readonly noNewPrivileges: boolean;
  /** Which of its threads have a filter for system calls. */
  readonly seccomp: "all" | "main" | "none";
  /** Names of namespaces that are not this process's: "mnt", "net", ... */
  readonly ownNamespaces: readonly string[];
  /** Network interfaces that it sees, besides lo. */
  readonly interfaces: readonly string[];
  /** What it sees in its root, and in the folder for devices there. */
  readonly root: readonly string[];
  readonly devices: readonly string[];
  readonly descriptors: readonly Descriptor[];
  /** Names and values, as they were when its program was executed. */
  readonly environment: readonly string[];
  /** Hard limits; Infinity where there is none. */
  readonly openFiles: number;
  readonly processes: number;
  /** Soft and hard limit of core dumps are 0. */
  readonly noCoreDumps: boolean;
}

/** Reads it as root. Errors: ENOENT, ESRCH when the process is gone. */
export function readConfinement(pid: number): Confinement {
  const proc = `/proc/${pid}`;
  const status = fieldsOf(readFileSync(`${proc}/status`, "utf8"));
  const limits = readFileSync(`${proc}/limits`, "utf8");
  const threads = readdirSync(`${proc}/task`).map((thread) =>
    fieldsOf(readFileSync(`${proc}/task/${thread}/status`, "utf8")),
  );
  const ids = (name: string): number[] => (status.get(name) ?? "").split(/\s+/).filter(Boolean).map(Number);
  const noNewPrivileges = status.get("NoNewPrivs") === "1";
  // Root gets what the bounding set leaves when it executes something, unless it may gain nothing.
  const mayGain = ids("Uid")[1] === 0 && !noNewPrivileges;
  return {
    pid,
    program: status.get("Name") ?? "",
    user: ids("Uid")[1] ?? 0,
    group: ids("Gid")[1] ?? 0,
    groups: ids("Groups"),
    capabilities: capabilityNames(status.get(mayGain ? "CapBnd" : "CapPrm")),
    noNewPrivileges,
    seccomp: threads.every(isFiltered) ? "all" : isFiltered(status) ? "main" : "none",
    ownNamespaces: NAMESPACES.filter((name) => namespace(pid, name) !== namespace("self", name)),
    interfaces: readFileSync(`${proc}/net/dev`, "utf8")
      .split("\n")
      .slice(2)
      .map(interfaceName)
      .filter(isOther),
    root: readdirSync(`${proc}/root`),
    devices: existsSync(`${proc}/root/dev`) ? readdirSync(`${proc}/root/dev`) : [],
    descriptors: readDescriptors(pid),
    environment: readFileSync(`${proc}/environ`, "utf8").split("\0").filter(Boolean),
    openFiles: hardLimit(limits, "open files"),
    processes: hardLimit(limits, "processes"),
    noCoreDumps: /^Max core file size +0 +0 /m.test(limits),
  };
}

function hardLimit(limits: string, name: string): number {
  const word = new RegExp(`^Max ${name} +\\S+ +(\\S+)`, "m").exec(limits)?.[1];
  return word === "unlimited" ? Number.POSITIVE_INFINITY : Number(word);
}

const NAMESPACES = ["mnt", "net", "ipc", "pid", "uts", "user", "cgroup"];

function fieldsOf(status: string): Map<string, string> {
  return new Map(
    status.split("\n").map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon), line.slice(colon + 1).trim()] as const;
    }),
  );
}

const namespace = (pid: number | string, name: string): string => readlinkSync(`/proc/${pid}/ns/${name}`);
const interfaceName = (line: string): string => line.split(":")[0]?.trim() ?? "";
const isOther = (name: string): boolean => name !== "" && name !== "lo";

const isFiltered = (thread: ReadonlyMap<string, string>): boolean => thread.get("Seccomp") === "2";

function capabilityNames(hexadecimal = "0"): string[] {
  const bits = BigInt(`0x${hexadecimal}`);
  const names: string[] = [];
  for (let bit = 0; bits >> BigInt(bit) !== 0n; bit += 1) {
    if (((bits >> BigInt(bit)) & 1n) === 1n) names.push(CAPABILITIES[bit] ?? `capability ${bit}`);
  }
  return names;
}

/** By number (linux/capability.h). */
const CAPABILITIES = [
  ...["chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap"],
  ...[
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
  ],
  ...[
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
  ],
  ...[
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
  ],
  ...["mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf"],
  "checkpoint_restore",
];
