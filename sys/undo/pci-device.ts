import { closeSync, openSync } from "node:fs";
import type { Deadline } from "../deadline.ts";
import { errnoOf } from "../error.ts";
import { replaceAddress } from "../netlink/address.ts";
import { findLink, setLink } from "../netlink/link.ts";
import { IFF, type Link } from "../netlink/records.ts";
import { openRoute, type RouteSocket } from "../netlink/socket.ts";
import { waitForLink } from "../netlink/wait-link.ts";
import { pciDevice, pciDeviceBelow } from "../pci/device.ts";
import { bindBack, VFIO_PCI } from "../pci/driver.ts";
import { groupIsFree, isGroupViable } from "../pci/vfio-group.ts";
import { killProcess } from "../process.ts";
import type { Undo } from "./entry.ts";
import { openRouteIn } from "./netns-socket.ts";

type Entry = Extract<Undo, { kind: "pci-device" }>;

/** How long a driver may take to make its link. */
const LINK_MS = 5000;

/**
 * Gives the device to its own driver, and its link to the namespace it was in, with its name, MAC, MTU and addresses. In
 * place of a namespace that is gone it stays with the node, as the kernel has it. What is back already is no error.
 */
export async function undoPciDevice(entry: Entry, deadline: Deadline): Promise<void> {
  const device = pciDevice(entry.address);
  if (device === undefined) return;
  if (device.driver === VFIO_PCI) await takeFromUser(entry, deadline);
  await bindBack(entry.address, entry.driver);
  using inPod = openRouteIn(entry);
  if (inPod === undefined) return;
  const isIts = ({ parent }: Link): boolean =>
    parent !== undefined && pciDeviceBelow(parent.bus, parent.name)?.address === entry.address;
  // A process that was killed may have come as far as this.
  const there = await findLink(inPod, { name: entry.link.name }, deadline);
  const link = there !== undefined && isIts(there) ? there : await moveBack(entry, isIts, inPod, deadline);
  if (link === undefined) return;
  const { mac, mtu, alias, flags } = entry.link;
  await setLink(inPod, link, { ...(link.mac === mac ? {} : { mac }), mtu, alias }, deadline);
  await setLink(inPod, link, { up: (flags & IFF.UP) !== 0 }, deadline);
  for (const address of entry.addresses) {
    await replaceAddress(inPod, { ...address, index: link.index }, deadline);
  }
}

/** The driver waits for whoever has the device, and we would wait with it: what still has it is the VM of a pod that ends. */
async function takeFromUser({ group, user }: Entry, deadline: Deadline): Promise<void> {
  try {
    isGroupViable(group);
  } catch (error) {
    if (errnoOf(error) !== "EBUSY") throw error;
    if (user !== undefined) await killProcess(user, deadline);
    await groupIsFree(group, deadline);
  }
}

/** Its driver makes its link among the node's, with a name of its own. */
async function moveBack(
  entry: Entry,
  isIts: (link: Link) => boolean,
  inPod: RouteSocket,
  deadline: Deadline,
): Promise<Link | undefined> {
  const link = await waitForLink(isIts, deadline.within(LINK_MS, `see the link of ${entry.address}`));
  const { name } = entry.link;
  const netnsFd = openSync(entry.netns, "r");
  try {
    using node = openRoute();
    // What is up is not renamed before Linux 6.2, and what moves goes down anyway.
    await setLink(node, link, { up: false }, deadline);
    await setLink(node, link, { netnsFd, name }, deadline);
  } finally {
    closeSync(netnsFd);
  }
  // Its index may be another one here.
  return findLink(inPod, { name }, deadline);
}
