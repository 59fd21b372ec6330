import type { Deadline } from "../sys/deadline.ts";
import { errnoOf, TapirError } from "../sys/error.ts";
import { failpoint } from "../sys/failpoint.ts";
import { deleteAddress, listAddresses, replaceAddress } from "../sys/netlink/address.ts";
import { familyOfText, formatIp, parseIp } from "../sys/netlink/address-text.ts";
import { listLinks, setLink } from "../sys/netlink/link.ts";
import { type Address, IFA_F, type Link, RT_SCOPE } from "../sys/netlink/records.ts";
import { openRoute, type RouteSocket } from "../sys/netlink/socket.ts";
import { Code } from "../sys/status.ts";
import { findOwn, moveBack, moveIn } from "./move-link.ts";
import { orRestore, restoreSoon } from "./or-restore.ts";
import { putBackAddresses, putBackNeighbors, putBackRoutes } from "./put-back.ts";
import { type LinkState, readLinkState, renameLink, restoreLink } from "./restore-link.ts";

/** A link as an operator wants it: "", 0 and an empty list leave things as they are. */
export interface LinkWish {
  /** Its name so far, when it is to get another. */
  readonly device: string;
  readonly name: string;
  readonly mac: string;
  readonly mtu: number;
  readonly addresses: readonly { readonly address: string; readonly prefixLength: number }[];
}

/** A link that was changed. */
export interface ChangedLink {
  readonly index: number;
  /** Makes it what it was, where it was; in time of its own, and never rejects. */
  takeBack(): Promise<void>;
}

/**
 * Puts a link into use: one of the namespace, or one of the caller's own, which moves there. What fails is taken back, and so
 * is the move. Found by its name; by the MAC only where no name is said. NOT_FOUND when there is none.
 */
export async function addLink(netns: string, wish: LinkWish, deadline: Deadline): Promise<ChangedLink> {
  using socket = openRoute({ netns });
  const name = wish.device || wish.name;
  const found = await findWished(socket, name === "" ? wish : { ...wish, mac: "" }, deadline);
  if (found !== undefined) return await change(netns, found, wish, deadline);
  const before = name === "" ? undefined : await findOwn(name, deadline);
  if (before === undefined) {
    if (name === "") throw notFound(wish.mac, NONE_HERE, "name it (Device) when it is the node's");
    throw notFound(name, "neither the pod's network namespace nor the node's has one");
  }
  const back = (limit: Deadline): Promise<void> => moveBack(netns, before, limit);
  const what = `link ${name}`;
  const moved = async (): Promise<ChangedLink> => {
    await moveIn(netns, before, deadline);
    await failpoint("network.moved");
    return await change(netns, await theLink(socket, wish, deadline), wish, deadline);
  };
  const { index, takeBack } = await orRestore(what, moved, back);
  return {
    index,
    async takeBack() {
      await takeBack();
      await restoreSoon(what, back);
    },
  };
}

/** Changes a link of the namespace, which goes up; what fails is taken back. NOT_FOUND when there is none. */
export async function changeLink(netns: string, wish: LinkWish, deadline: Deadline): Promise<ChangedLink> {
  using socket = openRoute({ netns });
  return await change(netns, await theLink(socket, wish, deadline), wish, deadline);
}

/** Takes a link out of use: down, without addresses, and its routes go with these. What fails is taken back. */
export async function removeLink(netns: string, wish: LinkWish, deadline: Deadline): Promise<void> {
  using socket = openRoute({ netns });
  const link = await theLink(socket, wish, deadline);
  const before = await readLinkState(socket, link, deadline);
  const remove = async (): Promise<void> => {
    await setLink(socket, link, { up: false }, deadline);
    await failpoint("network.downed");
    await applyAddresses(socket, link, [], deadline);
  };
  await orRestore(`link ${link.name}`, remove, (limit) => restoreLink(socket, before, limit));
}

async function change(netns: string, link: Link, wish: LinkWish, deadline: Deadline): Promise<ChangedLink> {
  using socket = openRoute({ netns });
  const before = await readLinkState(socket, link, deadline);
  const what = `link ${link.name}`;
  await orRestore(
    what,
    () => apply(socket, before, wish, deadline),
    (limit) => restoreLink(socket, before, limit),
  );
  return {
    index: link.index,
    takeBack: () =>
      restoreSoon(what, async (limit) => {
        using own = openRoute({ netns });
        await restoreLink(own, before, limit);
      }),
  };
}

/**
 * The kernel takes routes and neighbours away with the last address or with a link that is down for a moment, and IPv6
 * addresses with such a link. Nobody asked for that: what still can be comes back.
 */
async function apply(
  socket: RouteSocket,
  { link, addresses, routes, neighbors }: LinkState,
  { name, mac, mtu, addresses: wanted }: LinkWish,
  deadline: Deadline,
): Promise<void> {
  if (name !== "" && name !== link.name) await renameLink(socket, link, name, deadline);
  await failpoint("network.renamed");
  const other = mac === "" || mac === link.mac ? {} : { mac };
  await setLink(socket, link, { ...other, ...(mtu === 0 ? {} : { mtu }) }, deadline);
  await setLink(socket, link, { up: true }, deadline);
  const staying = wanted.length > 0 ? addresses.filter(isKernels) : addresses;
  await putBackAddresses(socket, staying, deadline);
  if (wanted.length > 0) await applyAddresses(socket, link, wanted, deadline);
  await failpoint("network.addressed");
  await putBackNeighbors(socket, neighbors, deadline);
  await putBackRoutes(socket, routes, deadline);
}

/** A link-local address of IPv6 stays: the kernel makes it. */
const isKernels = ({ family, scope }: Address): boolean => family === 6 && scope === RT_SCOPE.LINK;

/** Brings the addresses to exactly these, but for the link-local ones that the kernel made. */
async function applyAddresses(
  socket: RouteSocket,
  link: Link,
  wanted: LinkWish["addresses"],
  deadline: Deadline,
): Promise<void> {
  const goal = new Map(wanted.map((one) => [keyOf(one), addressOf(link.index, one)]));
  for (const address of await listAddresses(socket, deadline)) {
    if (address.index !== link.index || goal.delete(keyOf(address))) continue;
    if (wanted.length > 0 && isKernels(address)) continue;
    await deleteAddress(socket, address, deadline).catch((error: unknown) => {
      // It went with the one before it.
      if (errnoOf(error) !== "EADDRNOTAVAIL") throw error;
    });
  }
  for (const address of goal.values()) await replaceAddress(socket, address, deadline);
}

const keyOf = ({ address, prefixLength }: { address: string; prefixLength: number }): string =>
  `${formatIp(parseIp(address))}/${prefixLength}`;

function addressOf(index: number, { address, prefixLength }: LinkWish["addresses"][number]): Address {
  const family = familyOfText(address);
  return {
    index,
    family,
    address: formatIp(parseIp(address)),
    prefixLength,
    peer: undefined,
    broadcast: undefined,
    scope: RT_SCOPE.UNIVERSE,
    flags: family === 6 ? IFA_F.NODAD : 0,
    label: undefined,
    routeMetric: 0,
  };
}

async function theLink(socket: RouteSocket, wish: LinkWish, deadline: Deadline): Promise<Link> {
  const link = await findWished(socket, wish, deadline);
  if (link !== undefined) return link;
  throw notFound(wish.device || wish.name || wish.mac, NONE_HERE);
}

/** By the name that it is said to have; by MAC where none is said, or nothing has the one that it may be to get. */
async function findWished(
  socket: RouteSocket,
  { device, name, mac }: Pick<LinkWish, "device" | "name" | "mac">,
  deadline: Deadline,
): Promise<Link | undefined> {
  const links = await listLinks(socket, deadline);
  const byName = links.find((link) => link.name === (device || name));
  if (byName !== undefined || device !== "" || mac === "") return byName;
  return links.find((link) => link.mac === mac);
}

const NONE_HERE = "the pod's network namespace has none";

function notFound(name: string, cause: string, hint?: string): TapirError {
  const more = hint === undefined ? {} : { hint };
  return new TapirError({ code: Code.NOT_FOUND, operation: "find", object: `link ${name}`, cause, ...more });
}
