import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { DnsConfiguration } from "../../proto/gen/tapir/agent/v1/agent.ts";

/** /etc/{hostname,hosts,resolv.conf,machine-id} of the read-only image are symbolic links to here. */
export const ETC = "/run/etc";

const LOCAL_HOSTS = ["127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback"];

/** The names and addresses of a pod, as far as files tell them. */
export interface PodFiles {
  readonly hostname: string;
  /** Addresses that the hostname stands for. */
  readonly addresses: readonly string[];
  readonly dns: DnsConfiguration | undefined;
  /** 32 hex digits (machine-id(5)); "" before the guest is anybody's. */
  readonly machineId: string;
}

export const NOBODY: PodFiles = { hostname: "localhost", addresses: [], dns: undefined, machineId: "" };

export function writeFiles(pod: PodFiles, directory: string = ETC): void {
  mkdirSync(directory, { recursive: true });
  for (const [name, text] of Object.entries(renderFiles(pod))) writeFileSync(join(directory, name), text);
}

/** File name to content. */
export function renderFiles({ hostname, addresses, dns, machineId }: PodFiles): Record<string, string> {
  const own = addresses.map((address) => `${address}\t${hostname}`);
  return {
    hostname: `${hostname}\n`,
    hosts: lines([...LOCAL_HOSTS, ...own]),
    "resolv.conf": dns === undefined ? "" : renderResolvConf(dns),
    "machine-id": machineId === "" ? "" : `${machineId}\n`,
  };
}

/** resolv.conf(5). */
function renderResolvConf({ servers, searches, options }: DnsConfiguration): string {
  return lines([
    ...servers.map((server) => `nameserver ${server}`),
    ...(searches.length === 0 ? [] : [`search ${searches.join(" ")}`]),
    ...(options.length === 0 ? [] : [`options ${options.join(" ")}`]),
  ]);
}

function lines(all: readonly string[]): string {
  return all.map((line) => `${line}\n`).join("");
}
