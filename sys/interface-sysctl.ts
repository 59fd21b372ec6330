import { readFileSync, writeFileSync } from "node:fs";
import { errnoOf, wrapError } from "./error.ts";

/** How a setting of "all" joins the one of the interface (include/linux/inetdevice.h): the higher counts, or not at all. */
type Join = "higher" | "own";

/**
 * The settings of one interface that decide what happens to its packets, with the value that a NIC of the guest has before
 * anybody sets it: the kernel's.
 * The key "ipv4/rp_filter" is net/ipv4/conf/<name>/rp_filter below /proc/sys.
 */
export const INTERFACE_SYSCTLS: ReadonlyMap<string, { readonly own: string; readonly join: Join }> = new Map(
  Object.entries({
    "ipv4/accept_local": { own: "0", join: "higher" },
    "ipv4/accept_redirects": { own: "1", join: "own" },
    "ipv4/arp_accept": { own: "0", join: "higher" },
    "ipv4/arp_announce": { own: "0", join: "higher" },
    "ipv4/arp_filter": { own: "0", join: "higher" },
    "ipv4/arp_ignore": { own: "0", join: "higher" },
    "ipv4/forwarding": { own: "0", join: "own" },
    "ipv4/promote_secondaries": { own: "0", join: "higher" },
    "ipv4/proxy_arp": { own: "0", join: "higher" },
    "ipv4/route_localnet": { own: "0", join: "higher" },
    "ipv4/rp_filter": { own: "0", join: "higher" },
    "ipv4/send_redirects": { own: "1", join: "higher" },
    "ipv4/src_valid_mark": { own: "0", join: "higher" },
    // First of its family: turning IPv6 off and on takes the others' effects away.
    "ipv6/disable_ipv6": { own: "0", join: "own" },
    "ipv6/accept_ra": { own: "1", join: "own" },
    "ipv6/accept_redirects": { own: "1", join: "own" },
    "ipv6/autoconf": { own: "1", join: "own" },
    "ipv6/forwarding": { own: "0", join: "own" },
    "ipv6/proxy_ndp": { own: "0", join: "own" },
    "ipv6/use_tempaddr": { own: "0", join: "own" },
  } as const),
);

/**
 * What an interface of the caller's network namespace does otherwise than a fresh NIC of the guest would. An interface
 * without a family (IPv6 is off, or its MTU is too small for it) has none of its settings.
 */
export function readInterfaceSysctls(name: string): Record<string, string> {
  const values: Record<string, string> = {};
  for (const [key, { own, join }] of INTERFACE_SYSCTLS) {
    const mine = read(key, name);
    if (mine === undefined) continue;
    const value = join === "own" ? mine : higher(mine, read(key, "all"));
    if (value !== own) values[key] = value;
  }
  return values;
}

/** Sets one of INTERFACE_SYSCTLS. An interface without that family stays as it is. */
export function writeInterfaceSysctl(name: string, key: string, value: string): void {
  try {
    writeFileSync(pathOf(key, name), value);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return;
    throw wrapError(error, { operation: "set", object: `${key} of ${name} to ${value}` });
  }
}

function pathOf(key: string, name: string): string {
  return `/proc/sys/net/${key.replace("/", `/conf/${name}/`)}`;
}

/** Undefined for a setting that this kernel or this interface does not have. */
function read(key: string, name: string): string | undefined {
  try {
    return readFileSync(pathOf(key, name), "latin1").trim();
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT" || errno === "EINVAL") return undefined;
    throw wrapError(error, { operation: "read", object: `${key} of ${name}` });
  }
}

function higher(own: string, all: string | undefined): string {
  return all !== undefined && Number(all) > Number(own) ? all : own;
}
