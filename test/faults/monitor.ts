import { closeSync, readlinkSync, writeSync } from "node:fs";
import { Socket } from "node:net";
import type { Deadline } from "../../sys/deadline.ts";
import { readProc } from "../../sys/identity.ts";
import { listProcesses } from "../../sys/inventory/processes.ts";
import { readNames } from "../../sys/inventory/read.ts";
import { libc } from "../../sys/libc.ts";
import { identify, type ProcessIdentity, waitForExit } from "../../sys/process.ts";
import type { TestNode } from "../harness/node.ts";
import { runOk } from "../harness/run.ts";

/** Whose VMs are meant. */
interface Site {
  readonly node: TestNode;
}

/** QEMU of a site's pod, and the descriptor of its end of the connection to the shim. */
interface Monitored {
  readonly pid: number;
  readonly fd: number;
}

export const isMonitored = (site: Site): boolean => monitorsOf(site).length > 0;

/** The connection between shim and QEMU is shut down, and both live on. Returns whether there was one. */
export function closeMonitors(site: Site): boolean {
  const monitors = monitorsOf(site);
  for (const { pid, fd } of monitors) {
    // What is shut down is the connection, of which this is one more descriptor.
    const end = new Socket({ fd: takeDescriptor(pid, fd), readable: false, writable: true });
    end.on("error", () => undefined);
    end.end(() => end.destroy());
  }
  return monitors.length > 0;
}

/**
 * An interrupt that the guest's kernel takes for the end (`unknown_nmi_panic`). Returns whether a QEMU ended of it: a guest
 * that does not run yet cannot panic.
 */
export async function panicGuests(site: Site, deadline: Deadline): Promise<boolean> {
  let ended = false;
  for (const identity of await tellMonitors(site, "inject-nmi", deadline)) {
    ended ||= await waitForExit(identity, deadline).then(
      () => true,
      () => false,
    );
  }
  return ended;
}

/** QEMU answers, and its guest does nothing: the agent's socket is open, and nobody reads it. Returns whether there is one. */
export async function pauseGuests(site: Site, deadline: Deadline): Promise<boolean> {
  return (await tellMonitors(site, "stop", deadline)).length > 0;
}

export async function resumeGuests(site: Site, deadline: Deadline): Promise<void> {
  await tellMonitors(site, "cont", deadline);
}

/** The number is nobody's: the shim drops the answer. */
const NOBODYS = 0x7fff_ffff;

/** A command as the shim would send it, to each QEMU; returns who was told. */
async function tellMonitors(site: Site, execute: string, deadline: Deadline): Promise<ProcessIdentity[]> {
  const told: ProcessIdentity[] = [];
  for (const { pid, fd } of monitorsOf(site)) {
    const shim = await peerOf(site, linkOf(pid, String(fd)), deadline);
    const identity = identify(pid);
    if (shim === undefined || identity === undefined) continue;
    const monitor = takeDescriptor(shim.pid, shim.fd);
    try {
      writeSync(monitor, `${JSON.stringify({ execute, id: NOBODYS })}\n`);
    } finally {
      closeSync(monitor);
    }
    told.push(identity);
  }
  return told;
}

function monitorsOf({ node }: Site): Monitored[] {
  return Object.keys(listProcesses(node.mark).things).flatMap((key) => {
    const pid = Number(key.split("@")[0]);
    const fd = /\bsocket,id=qmp,fd=(\d+)/.exec(readProc(`/proc/${pid}/cmdline`) ?? "")?.[1];
    return fd === undefined ? [] : [{ pid, fd: Number(fd) }];
  });
}

/** Who holds the other end of a socket, `socket:[<inode>]`. Of unix sockets only `ss` and netlink know the two ends. */
async function peerOf({ node }: Site, link: string, deadline: Deadline): Promise<Monitored | undefined> {
  const inode = /\d+/.exec(link)?.[0] ?? "";
  const sockets = await runOk({ command: "ss", args: ["-xaHn"], deadline, netns: node.netns });
  const peer = new RegExp(`\\s${inode}\\s+\\S+\\s+(\\d+)`).exec(sockets)?.[1];
  for (const key of Object.keys(listProcesses(node.mark).things)) {
    const pid = Number(key.split("@")[0]);
    const fd = readNames(`/proc/${pid}/fd`).find((name) => linkOf(pid, name) === `socket:[${peer}]`);
    if (fd !== undefined) return { pid, fd: Number(fd) };
  }
  return undefined;
}

function linkOf(pid: number, fd: string): string {
  try {
    return readlinkSync(`/proc/${pid}/fd/${fd}`);
  } catch {
    return "";
  }
}

// The same numbers on every architecture (asm-generic/unistd.h).
const SYS_PIDFD_OPEN = 434;
const SYS_PIDFD_GETFD = 438;

/** A copy of a descriptor of another process: pidfd_getfd(2). */
function takeDescriptor(pid: number, fd: number): number {
  const pidfd = Number(libc.syscall(SYS_PIDFD_OPEN, pid, 0, 0, 0));
  if (pidfd === -1) throw new Error(`there is no process ${pid}`);
  const copy = Number(libc.syscall(SYS_PIDFD_GETFD, pidfd, fd, 0, 0));
  closeSync(pidfd);
  if (copy === -1) throw new Error(`process ${pid} has no descriptor ${fd}`);
  return copy;
}
