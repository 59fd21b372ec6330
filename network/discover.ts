import { basename } from "node:path";
import type { Deadline } from "../sys/deadline.ts";
import { TapirError, wrapError } from "../sys/error.ts";
import { readInterfaceSysctls } from "../sys/interface-sysctl.ts";
import { listAddresses } from "../sys/netlink/address.ts";
import { listLinks } from "../sys/netlink/link.ts";
import { listNeighbors } from "../sys/netlink/neighbor.ts";
import {
  type Address,
  IFF,
  type Link,
  type Neighbor,
  type Route,
  type Rule,
} from "../sys/netlink/records.ts";
import { listRoutes } from "../sys/netlink/route.ts";
import { listRules } from "../sys/netlink/rule.ts";
import { openRoute } from "../sys/netlink/socket.ts";
import { inNetns, isOwnNetns, netnsInode } from "../sys/netns.ts";
import { groupMates, hasPciDriver, type PciDevice, pciDeviceBelow } from "../sys/pci/device.ts";
import { VFIO_PCI } from "../sys/pci/driver.ts";
import { Code } from "../sys/status.ts";

/** What CNI left in a pod's network namespace: the kernel's records, nothing chosen or changed yet. */
export interface DiscoveredNetwork {
  /** Path of the namespace. */
  readonly netns: string;
  readonly netnsInode: number;
  /** Every link but loopback, in order of index. */
  readonly links: readonly DiscoveredLink[];
  /** Index of loopback: a few routes lead there. */
  readonly loopbackIndex: number;
  /** Every table, both families, in the kernel's order. */
  readonly routes: readonly Route[];
  /** Both families', in the order in which the kernel asks them. */
  readonly rules: readonly Rule[];
}

export interface DiscoveredLink {
  readonly link: Link;
  readonly addresses: readonly Address[];
  readonly neighbors: readonly Neighbor[];
  /** Settings that a fresh NIC of the guest would not have, by their key in sys/interface-sysctl.ts. */
  readonly sysctls: Readonly<Record<string, string>>;
  /** The PCI device whose link it is; virtual links have none. */
  readonly device?: HostDevice | undefined;
}

/** A device of the node, and whether it can be handed to a VM. */
export interface HostDevice extends PciDevice {
  /** What can be handed over with it only. */
  readonly mates: readonly PciDevice[];
  /** The node has the driver that hands over devices. */
  readonly vfio: boolean;
}

/** Reads the namespace at `netns`; changes nothing. Refuses the node's own namespace. */
export async function discover(netns: string, deadline: Deadline): Promise<DiscoveredNetwork> {
  try {
    refuseNodeNetns(netns);
    using socket = openRoute({ netns });
    const links = await listLinks(socket, deadline);
    const addresses = await listAddresses(socket, deadline);
    const routes = await listRoutes(socket, deadline);
    const rules = await listRules(socket, deadline);
    const neighbors = await listNeighbors(socket, deadline);
    const nics = links.filter(isNoLoopback);
    const sysctls = inNetns(netns, () => nics.map(({ name }) => readInterfaceSysctls(name)));
    return {
      netns,
      netnsInode: netnsInode(netns),
      links: nics.map((link, at) => ({
        link,
        addresses: addresses.filter(({ index }) => index === link.index),
        neighbors: neighbors.filter(({ index }) => index === link.index),
        sysctls: sysctls[at] ?? {},
        ...hostDeviceOf(link),
      })),
      loopbackIndex: links.find((link) => !isNoLoopback(link))?.index ?? 0,
      routes,
      rules,
    };
  } catch (error) {
    throw wrapError(error, { operation: "discover", object: `network of netns ${basename(netns)}` });
  }
}

function hostDeviceOf({ kind, parent }: Link): Pick<DiscoveredLink, "device"> {
  if (kind !== undefined || parent === undefined) return {};
  const device = pciDeviceBelow(parent.bus, parent.name);
  if (device === undefined) return {};
  return { device: { ...device, mates: groupMates(device), vfio: hasPciDriver(VFIO_PCI) } };
}

function isNoLoopback({ flags }: Link): boolean {
  return (flags & IFF.LOOPBACK) === 0;
}

/** A pod with the node's network would have its VM steal the node's own packets. */
function refuseNodeNetns(netns: string): void {
  if (!isOwnNetns(netns) && netnsInode(netns) !== initNetnsInode()) return;
  throw new TapirError({
    code: Code.INVALID_ARGUMENT,
    operation: "use",
    object: `netns ${netns}`,
    cause: "it is the node's own network",
    hint:
      "a pod with hostNetwork cannot run in a VM: give it a network of its own or another runtime class; " +
      "disable_new_netns lets such pods run without a NIC",
  });
}

/** Undefined where process 1 is out of reach: the shim may run in a container of its own. */
function initNetnsInode(): number | undefined {
  try {
    return netnsInode("/proc/1/ns/net");
  } catch {
    return undefined;
  }
}
