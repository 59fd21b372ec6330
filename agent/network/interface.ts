import type { Interface } from "../../proto/gen/tapir/agent/v1/agent.ts";
import type { Deadline } from "../../sys/deadline.ts";
import { codeOf, errnoOf, reasonOf, TapirError } from "../../sys/error.ts";
import { deleteAddress, listAddresses, replaceAddress } from "../../sys/netlink/address.ts";
import { type LinkChange, listLinks, setLink } from "../../sys/netlink/link.ts";
import { type Address, IFF, type Link } from "../../sys/netlink/records.ts";
import { waitForLink } from "../../sys/netlink/wait-link.ts";
import { Code } from "../../sys/status.ts";
import { addressPlan } from "./address-difference.ts";
import { allOf } from "./all-of.ts";
import { type LinkNames, linkNames } from "./link-names.ts";
import { fromAddress, toInterface } from "./message.ts";
import type { Ground, Network } from "./network.ts";
import { renames } from "./rename.ts";
import { applySysctls, needsSysctls, readSysctls } from "./sysctl.ts";

const ETHERNET = 1;
/** A primary IPv4 address may take its secondaries along (promote_secondaries), and others then come before their time. */
const REMOVAL_ROUNDS = 4;

/** Every NIC of the guest with addresses and settings, as the kernel has them. */
export async function listInterfaces(network: Network, deadline: Deadline): Promise<Interface[]> {
  const [links, addresses] = await Promise.all([
    listLinks(network.socket, deadline),
    listAddresses(network.socket, deadline),
  ]);
  return links
    .filter(isNic)
    .map((link) => ({ ...toInterface(link, addresses), sysctls: readSysctls(network, link.name) }));
}

/** What is there once the NICs are as wanted. */
export interface AppliedInterfaces {
  readonly names: LinkNames;
  /** Of the wanted NICs. */
  readonly addresses: readonly Address[];
}

/**
 * Brings the NICs with the wanted MACs to the wanted state: name, MTU, queue length, flags, addresses; what is
 * there and not wanted goes. NICs that do not exist yet are waited for until `linkDeadline`. `known`: the links, where they were
 * read just now.
 */
export async function applyInterfaces(
  network: Network,
  wanted: readonly Interface[],
  linkDeadline: Deadline,
  deadline: Deadline,
  ground: Ground = "unknown",
  known?: readonly Link[],
): Promise<AppliedInterfaces> {
  const { nics, links } = await findNics(network, wanted, linkDeadline, deadline, known);
  const names = new Map(nics.map(({ link, wanted: { name } }) => [link.index, name]));
  const nowNamed = new Map(links.map(({ index, name }) => [index, name]));
  for (const { index, from, to } of renames(links, names)) {
    const link = { index, name: from };
    // The kernel renames only what is down (before 6.2).
    await setLink(network.socket, link, { up: false }, deadline);
    await setLink(network.socket, link, { name: to }, deadline);
    nowNamed.set(index, to);
  }
  await allOf(nics.map(({ link, wanted: one }) => applyLink(network, link, one, deadline)));
  const goal = nics.flatMap(({ link, wanted: { addresses } }) =>
    addresses.map((address) => fromAddress(address, link.index)),
  );
  const present = async (): Promise<Address[]> =>
    ground === "blank"
      ? []
      : (await listAddresses(network.socket, deadline)).filter(({ index }) => names.has(index));
  await applyAddresses(network, present, goal, deadline);
  return { names: linkNames([...nowNamed].map(([index, name]) => ({ index, name }))), addresses: goal };
}

/** Takes NICs out of use: every one of `links` that `isGone`. Addresses and routes go with it. */
export async function clearInterfaces(
  network: Network,
  links: readonly Link[],
  isGone: (link: Link) => boolean,
  deadline: Deadline,
): Promise<void> {
  const { socket } = network;
  const strays = links.filter((link) => isNic(link) && isGone(link));
  if (strays.length === 0) return;
  for (const link of strays) {
    if ((link.flags & IFF.UP) !== 0) await setLink(socket, link, { up: false }, deadline);
    applySysctls(network, link, {});
  }
  for (const address of await listAddresses(socket, deadline)) {
    if (strays.some(({ index }) => index === address.index)) await removeAddress(network, address, deadline);
  }
}

export function isNic(link: Link): boolean {
  return link.type === ETHERNET && (link.flags & IFF.LOOPBACK) === 0;
}

interface FoundNic {
  readonly link: Link;
  readonly wanted: Interface;
}

/** Each wanted NIC's link, and all links once every one is there. */
async function findNics(
  network: Network,
  wanted: readonly Interface[],
  linkDeadline: Deadline,
  deadline: Deadline,
  known?: readonly Link[],
): Promise<{ nics: readonly FoundNic[]; links: readonly Link[] }> {
  for (let links = known; ; links = undefined) {
    links ??= await listLinks(network.socket, deadline);
    const there = links;
    const found = wanted.map((one) => ({ wanted: one, link: there.find((link) => isWanted(link, one)) }));
    const missing = found.find(({ link }) => link === undefined);
    if (missing === undefined) return { nics: found.filter(isFound), links };
    await waitForNic(network, missing.wanted, linkDeadline);
  }
}

function isFound(nic: { wanted: Interface; link: Link | undefined }): nic is FoundNic {
  return nic.link !== undefined;
}

/** Whether `link` is the NIC that is wanted: by the MAC it is to have, or by the one it came with. */
export function isWanted(link: Link, { mac, hardwareMac }: Interface): boolean {
  return isNic(link) && (link.mac === mac || link.mac === hardwareMac);
}

async function waitForNic(network: Network, wanted: Interface, deadline: Deadline): Promise<void> {
  try {
    await waitForLink((link) => isWanted(link, wanted), deadline, { netns: network.netns });
  } catch (error) {
    throw new TapirError({
      code: deadline.signal.aborted ? Code.DEADLINE_EXCEEDED : codeOf(error),
      operation: "find",
      object: `network interface with MAC ${wanted.hardwareMac ?? wanted.mac}`,
      cause: deadline.signal.aborted ? `it did not appear in time (${reasonOf(error)})` : error,
    });
  }
}

async function applyLink(network: Network, link: Link, wanted: Interface, deadline: Deadline): Promise<void> {
  const named = { index: link.index, name: wanted.name };
  const set = (change: LinkChange): Promise<void> => setLink(network.socket, named, change, deadline);
  // Before it goes up: the kernel would make a link-local address that nobody asked for.
  const before = [
    set({ addressGeneration: "none" }).catch((error: unknown) => {
      // A link without IPv6 (switched off, or an MTU below 1280) makes none.
      if (errnoOf(error) !== "EAFNOSUPPORT") throw error;
    }),
    ...(link.mtu === wanted.mtu ? [] : [set({ mtu: wanted.mtu })]),
  ];
  if (needsSysctls(network, named, wanted.sysctls)) {
    // IPv6's are there from an MTU of 1280 on. And before it is up: what counts from its first packet on.
    await allOf(before);
    applySysctls(network, named, wanted.sysctls);
  }
  const change: LinkChange = {
    // While it is still down: not every driver changes the MAC of a link that is up.
    ...(link.mac === wanted.mac ? {} : { mac: wanted.mac }),
    ...(wanted.txQueueLength === 0 ? {} : { txQueueLength: wanted.txQueueLength }),
    up: wanted.up,
    flags: {
      value:
        (wanted.noArp ? IFF.NOARP : 0) |
        (wanted.promiscuous ? IFF.PROMISC : 0) |
        (wanted.allMulticast ? IFF.ALLMULTI : 0) |
        (wanted.multicast ? IFF.MULTICAST : 0),
      mask: IFF.NOARP | IFF.PROMISC | IFF.ALLMULTI | IFF.MULTICAST,
    },
  };
  await allOf([...before, set(change)]);
}

/** Brings the addresses that are `present` to exactly the wanted ones. */
async function applyAddresses(
  network: Network,
  present: () => Promise<Address[]>,
  wanted: readonly Address[],
  deadline: Deadline,
): Promise<void> {
  const compare = async () => addressPlan(await present(), wanted);
  let plan = await compare();
  for (let round = 0; plan.remove.length > 0 && round < REMOVAL_ROUNDS; round += 1) {
    await allOf(plan.remove.map((address) => removeAddress(network, address, deadline)));
    plan = await compare();
  }
  await allOf(plan.add.map((address) => replaceAddress(network.socket, address, deadline)));
}

/** An address that is gone meanwhile (with its primary, with its link going down) is what was wanted. */
async function removeAddress(network: Network, address: Address, deadline: Deadline): Promise<void> {
  try {
    await deleteAddress(network.socket, address, deadline);
  } catch (error) {
    if (errnoOf(error) !== "EADDRNOTAVAIL") throw error;
  }
}
