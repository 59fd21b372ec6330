import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { reasonOf } from "../sys/error.ts";
import { type MountRequest, MS, mount } from "../sys/mount.ts";
import { type OnReaped, reapOrphans } from "../sys/orphans.ts";
import { ETC, NOBODY, writeFiles } from "./identity/files.ts";
import { setHostname } from "./identity/hostname.ts";
import { log, logTo } from "./log.ts";
import { powerOff } from "./power.ts";

const { NOSUID, NODEV, NOEXEC } = MS;
const SAFE = NOSUID | NODEV | NOEXEC;

/** In this order; what the initramfs has mounted already is left as it is. */
const MOUNTS: readonly MountRequest[] = [
  { source: "proc", target: "/proc", type: "proc", flags: SAFE },
  { source: "sys", target: "/sys", type: "sysfs", flags: SAFE },
  { source: "dev", target: "/dev", type: "devtmpfs", flags: NOSUID, data: "mode=0755" },
  {
    source: "devpts",
    target: "/dev/pts",
    type: "devpts",
    flags: NOSUID | NOEXEC,
    data: "gid=5,mode=0620,ptmxmode=0666",
  },
  { source: "shm", target: "/dev/shm", type: "tmpfs", flags: NOSUID | NODEV, data: "mode=1777" },
  { source: "mqueue", target: "/dev/mqueue", type: "mqueue", flags: SAFE },
  { source: "run", target: "/run", type: "tmpfs", flags: NOSUID | NODEV, data: "mode=0755" },
  { source: "tmp", target: "/tmp", type: "tmpfs", flags: NOSUID | NODEV, data: "mode=1777" },
  { source: "cgroup2", target: "/sys/fs/cgroup", type: "cgroup2", flags: SAFE, data: "nsdelegate" },
];

/** A NIC has the addresses it is given, at once, and nothing that the guest makes up. It is down until it has its pod's settings. */
const IPV6_SYSCTLS: Readonly<Record<string, string>> = {
  accept_dad: "0",
  dad_transmits: "0",
  // 1: no link-local address by itself; the pod's own is among the wanted ones.
  addr_gen_mode: "1",
};

/**
 * What the first process of the guest does before it serves; `onReaped` hears of every orphan that ended. A step that fails is told on the console and the
 * rest goes on: an agent that answers can say what is wrong, a panic cannot.
 */
export function init(onReaped?: OnReaped): void {
  // The console can only be opened below /dev: nothing before is told.
  for (const request of MOUNTS.slice(0, 3)) step(`mount ${request.target}`, () => mountOnce(request));
  logTo("/dev/console");
  for (const request of MOUNTS) step(`mount ${request.target}`, () => mountOnce(request));
  // "default" is for NICs to come, the others are there: their values were copied when they came.
  step("list IPv6 settings", () => readdirSync("/proc/sys/net/ipv6/conf").forEach(setIpv6Sysctls));
  step("name the guest", () => setHostname(NOBODY.hostname));
  step(`write ${ETC}`, () => writeFiles(NOBODY));
  reapOrphans(onReaped);
  process.on("SIGTERM", () => powerOff("signal SIGTERM"));
  process.on("SIGINT", () => powerOff("signal SIGINT"));
}

/** Nothing that goes wrong in one place ends the guest's first process: that would be a kernel panic. */
export function surviveErrors(): void {
  process.on("uncaughtException", (error) => log("uncaught error", { error: stackOf(error) }));
  process.on("unhandledRejection", (error) => log("unhandled rejection", { error: stackOf(error) }));
}

function mountOnce(request: MountRequest): void {
  if (isMounted(request.target)) return;
  mkdirSync(request.target, { recursive: true });
  mount(request);
}

/** Without /proc nothing can be known to be mounted. */
function isMounted(target: string): boolean {
  try {
    return readFileSync("/proc/self/mounts", "utf8")
      .split("\n")
      .some((line) => line.split(" ")[1] === target);
  } catch {
    return false;
  }
}

function setIpv6Sysctls(link: string): void {
  for (const [name, value] of Object.entries(IPV6_SYSCTLS)) {
    const path = `/proc/sys/net/ipv6/conf/${link}/${name}`;
    step(`set ${path}`, () => writeFileSync(path, value));
  }
}

function step(text: string, work: () => void): void {
  try {
    work();
  } catch (error) {
    log("init step failed", { step: text, error: reasonOf(error) });
  }
}

function stackOf(thrown: unknown): string {
  return thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
}
