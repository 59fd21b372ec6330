import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { basename } from "node:path";

const KIB_PER_MIB = 1024;

export interface LinkView {
  readonly ifname: string;
  readonly mtu: number;
}

/** The links of a named namespace, as `ip` says. */
export function linksOf(netns: string): LinkView[] {
  return JSON.parse(execFileSync("ip", ["-n", basename(netns), "-j", "link"], { encoding: "utf8" }));
}

/** Names of Tapir's own. */
export function tapsOf(netns: string): string[] {
  return linksOf(netns).flatMap(({ ifname }) => (ifname.endsWith("_tapir") ? [ifname] : []));
}

export const descriptors = (pid: number | "self"): number => readdirSync(`/proc/${pid}/fd`).length;

export function rssMib(pid: number | "self"): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]) / KIB_PER_MIB;
}
