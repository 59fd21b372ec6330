import type { Deadline } from "../sys/deadline.ts";
import { errnoOf, TapirError } from "../sys/error.ts";
import { failpoint } from "../sys/failpoint.ts";
import { familyOfText, formatIp, parseCidr, parseIp } from "../sys/netlink/address-text.ts";
import { listLinks } from "../sys/netlink/link.ts";
import { deleteNeighbor, listNeighbors, replaceNeighbor } from "../sys/netlink/neighbor.ts";
import { type Neighbor, NUD, type Route, RT_TABLE, RTAX, RTPROT } from "../sys/netlink/records.ts";
import { addRoute, deleteRoute, listRoutes } from "../sys/netlink/route.ts";
import { isSameRoute, type RoutePlan, routePlan } from "../sys/netlink/route-difference.ts";
import { openRoute, type RouteSocket } from "../sys/netlink/socket.ts";
import { Code } from "../sys/status.ts";
import type { GuestNeighbor, GuestRoute } from "./guest-network.ts";
import { orRestore } from "./or-restore.ts";
import { putBackRoutes } from "./put-back.ts";

/**
 * Brings the main table of a namespace, and each other that `wanted` names, to `wanted`, with as few steps as that takes. What
 * the kernel made with an address stays, and so does a route with encapsulation, of which `wanted` cannot speak. What fails is
 * taken back.
 */
export async function changeRoutes(
  netns: string,
  wanted: readonly GuestRoute[],
  deadline: Deadline,
): Promise<void> {
  using socket = openRoute({ netns });
  const indexOf = await linkIndexes(socket, deadline);
  const tables = new Set([RT_TABLE.MAIN, ...wanted.map(({ table }) => table)]);
  const isReplaced = ({ table, protocol, encapsulated }: Route): boolean =>
    tables.has(table) && protocol !== RTPROT.KERNEL && encapsulated !== true;
  const all = await listRoutes(socket, deadline);
  const made = all.filter(({ protocol }) => protocol === RTPROT.KERNEL);
  const isMade = (route: Route): boolean =>
    made.some(({ protocol, ...one }) => isSameRoute({ ...one, protocol: route.protocol }, route));
  const before = all.filter(isReplaced);
  const goal = wanted.map((route) => fromGuest(route, indexOf)).filter((route) => !isMade(route));
  await orRestore(
    "routes",
    () => apply(socket, routePlan(before, goal), deadline),
    async (limit) => {
      const now = (await listRoutes(socket, limit)).filter(isReplaced);
      for (const route of routePlan(now, before).remove) await remove(socket, route, limit);
      await putBackRoutes(socket, before, limit);
    },
  );
}

async function apply(socket: RouteSocket, plan: RoutePlan, deadline: Deadline): Promise<void> {
  for (const route of plan.remove) await remove(socket, route, deadline);
  await failpoint("network.unrouted");
  for (const route of plan.add) {
    await addRoute(socket, route, deadline).catch((error: unknown) => {
      // The kernel made it with an address.
      if (errnoOf(error) !== "EEXIST") throw error;
    });
  }
  await failpoint("network.routed");
}

async function remove(socket: RouteSocket, route: Route, deadline: Deadline): Promise<void> {
  await deleteRoute(socket, route, deadline).catch((error: unknown) => {
    // It went with a route before it.
    if (errnoOf(error) !== "ESRCH") throw error;
  });
}

/** Adds or replaces permanent entries. What fails is taken back. */
export async function changeNeighbors(
  netns: string,
  wanted: readonly GuestNeighbor[],
  deadline: Deadline,
): Promise<void> {
  using socket = openRoute({ netns });
  const indexOf = await linkIndexes(socket, deadline);
  const goal = wanted.map(({ device, address, mac, state, flags }): Neighbor => {
    const family = familyOfText(address);
    const index = indexOf(device);
    return { index, family, address: canonical(address), mac, flags, state: state || NUD.PERMANENT };
  });
  const keyOf = ({ index, address }: Neighbor): string => `${index} ${address}`;
  const before = new Map((await listNeighbors(socket, deadline)).map((entry) => [keyOf(entry), entry]));
  await orRestore(
    "neighbours",
    async () => {
      for (const entry of goal) {
        await replaceNeighbor(socket, entry, deadline);
        await failpoint("network.neighbored");
      }
    },
    async (limit) => {
      for (const entry of goal) {
        const old = before.get(keyOf(entry));
        // What the kernel had learned it learns again.
        if (old?.state === NUD.PERMANENT) await replaceNeighbor(socket, old, limit);
        else await deleteNeighbor(socket, entry, limit).catch(() => undefined);
      }
    },
  );
}

async function linkIndexes(socket: RouteSocket, deadline: Deadline): Promise<(name: string) => number> {
  const indexes = new Map((await listLinks(socket, deadline)).map(({ index, name }) => [name, index]));
  return (name) => {
    const index = indexes.get(name);
    if (index !== undefined) return index;
    const cause = "the pod's network namespace has none";
    throw new TapirError({ code: Code.NOT_FOUND, operation: "find", object: `link ${name}`, cause });
  };
}

function fromGuest(route: GuestRoute, indexOf: (name: string) => number): Route {
  const optional = (text: string): string | undefined => (text === "" ? undefined : canonical(text));
  const { mtu, device, preference, nextHops, ...rest } = route;
  const { bytes, prefixLength } = parseCidr(route.destination);
  return {
    ...rest,
    destination: `${formatIp(bytes)}/${prefixLength}`,
    family: route.family === 6 ? 6 : 4,
    gateway: optional(route.gateway),
    source: optional(route.source),
    index: device === "" ? 0 : indexOf(device),
    metrics: { ...route.metrics, ...(mtu === 0 ? {} : { [RTAX.MTU]: mtu }) },
    preference: preference === 0 ? undefined : preference - 1,
    nextHops: nextHops.map((hop) => ({
      ...hop,
      gateway: optional(hop.gateway),
      index: indexOf(hop.device),
      dead: false,
    })),
  };
}

/** Operators may write an address in another way than the kernel's list gives it. */
const canonical = (text: string): string => formatIp(parseIp(text));
