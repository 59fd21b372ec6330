import { type Deadline, deadlineIn } from "../sys/deadline.ts";
import { errnoOf } from "../sys/error.ts";
import { deleteAddress, listAddresses, replaceAddress } from "../sys/netlink/address.ts";
import { findLink, setLink } from "../sys/netlink/link.ts";
import { type Address, IFF, type Link, type Route, RTPROT } from "../sys/netlink/records.ts";
import { addRoute, listRoutes } from "../sys/netlink/route.ts";
import type { RouteSocket } from "../sys/netlink/socket.ts";

/** The caller's time may be what ran out. */
const RESTORE_MS = 5000;

/** Does `work` to a link; when it fails, name, MAC, MTU, addresses and routes of the link become what they were. */
export async function orRestoreLink<T>(
  socket: RouteSocket,
  link: Link,
  work: () => Promise<T>,
  deadline: Deadline,
): Promise<T> {
  const isIts = ({ index }: { readonly index: number }): boolean => index === link.index;
  const addresses = (await listAddresses(socket, deadline)).filter(isIts);
  const routes = (await listRoutes(socket, deadline)).filter(isIts);
  try {
    return await work();
  } catch (error) {
    const limit = deadlineIn(RESTORE_MS, `restore link ${link.name}`);
    // Why the work failed is what the caller needs.
    await restore(socket, link, { addresses, routes }, limit).catch(() => undefined);
    throw error;
  }
}

async function restore(
  socket: RouteSocket,
  link: Link,
  before: { readonly addresses: readonly Address[]; readonly routes: readonly Route[] },
  deadline: Deadline,
): Promise<void> {
  const { name, mac, mtu } = link;
  const now = await findLink(socket, { index: link.index }, deadline);
  if (now === undefined) return;
  // Older kernels rename only what is down.
  if (now.name !== name) await setLink(socket, link, { up: false }, deadline);
  const back = { ...(now.name === name ? {} : { name }), ...(now.mac === mac ? {} : { mac }) };
  await setLink(socket, link, { ...back, mtu }, deadline);
  await setLink(socket, link, { up: (link.flags & IFF.UP) !== 0 }, deadline);
  const keyOf = ({ address, prefixLength }: Address): string => `${address}/${prefixLength}`;
  const wanted = new Set(before.addresses.map(keyOf));
  for (const address of await listAddresses(socket, deadline)) {
    if (address.index === link.index && !wanted.has(keyOf(address)))
      await deleteAddress(socket, address, deadline);
  }
  for (const address of before.addresses) await replaceAddress(socket, address, deadline);
  for (const route of before.routes) {
    if (route.protocol === RTPROT.KERNEL) continue;
    await addRoute(socket, route, deadline).catch((error: unknown) => {
      // It was not lost.
      if (errnoOf(error) !== "EEXIST") throw error;
    });
  }
}
