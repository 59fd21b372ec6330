import { INTERFACE_SYSCTLS, readInterfaceSysctls, writeInterfaceSysctl } from "../../sys/interface-sysctl.ts";
import type { Link } from "../../sys/netlink/records.ts";
import { inNetns } from "../../sys/netns.ts";
import type { Network } from "./network.ts";

/** The settings that the host changed, by link: what a pod changes itself is its own affair, and not looked at. */
const changedByHost = new WeakMap<Network, Map<number, Set<string>>>();

/** Whether there is anything to set. */
export function needsSysctls(
  network: Network,
  link: Pick<Link, "index">,
  wanted: Readonly<Record<string, string>>,
): boolean {
  return Object.keys(wanted).length > 0 || setByHost(network, link).size > 0;
}

/** Sets what is wanted; what the host set before and wants no more gets the guest's own value again. */
export function applySysctls(
  network: Network,
  link: Pick<Link, "index" | "name">,
  wanted: Readonly<Record<string, string>>,
): void {
  if (!needsSysctls(network, link, wanted)) return;
  const before = setByHost(network, link);
  const ofNetwork = changedByHost.get(network) ?? new Map<number, Set<string>>();
  changedByHost.set(network, ofNetwork.set(link.index, new Set(Object.keys(wanted))));
  inItsNetns(network, () => {
    for (const [key, { own }] of INTERFACE_SYSCTLS) {
      const value = wanted[key] ?? (before.has(key) ? own : undefined);
      if (value !== undefined) writeInterfaceSysctl(link.name, key, value);
    }
  });
}

function setByHost(network: Network, { index }: Pick<Link, "index">): ReadonlySet<string> {
  return changedByHost.get(network)?.get(index) ?? new Set();
}

export function readSysctls(network: Network, name: string): Record<string, string> {
  return inItsNetns(network, () => readInterfaceSysctls(name));
}

/** /proc/sys/net is that of the thread's namespace. */
function inItsNetns<T>({ netns }: Network, work: () => T extends Promise<unknown> ? never : T): T {
  return netns === undefined ? work() : inNetns(netns, work);
}
