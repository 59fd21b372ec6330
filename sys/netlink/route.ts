import type { Deadline } from "../deadline.ts";
import { deviceText } from "./link-name.ts";
import { NLM_F, RTM } from "./message.ts";
import type { Route } from "./records.ts";
import { decodeRoute, encodeRoute, isLocal, RTMSG } from "./route-codec.ts";
import type { RouteSocket } from "./socket.ts";

/** Every IPv4 and IPv6 route of every table, or of every one but the local, as the kernel lists them. */
export async function listRoutes(
  socket: RouteSocket,
  deadline: Deadline,
  { localTable = true }: { readonly localTable?: boolean } = {},
): Promise<Route[]> {
  const request = { type: RTM.GETROUTE, payload: Buffer.alloc(RTMSG), operation: "list", object: "routes" };
  const replies = await socket.dump(request, deadline);
  return replies
    .filter(({ payload }) => localTable || !isLocal(payload))
    .map((reply) => decodeRoute(reply.payload))
    .filter((route) => route !== undefined);
}

/** The route without next hops that are dead; one that is left over of several is as good as a route through it alone. */
export function livingRoute(route: Route): Route {
  const nextHops = route.nextHops.filter(({ dead }) => !dead);
  const [only] = nextHops;
  if (only === undefined || nextHops.length > 1) return { ...route, nextHops };
  const { gateway, index, onLink } = only;
  return { ...route, gateway, index, onLink, nextHops: [] };
}

/**
 * Adds a route behind those with the same destination, metric and table; EEXIST when exactly this one is there. (EXCL would
 * refuse what both families allow: the same prefix on two links.)
 */
export async function addRoute(socket: RouteSocket, route: Route, deadline: Deadline): Promise<void> {
  await change(socket, "add", RTM.NEWROUTE, NLM_F.CREATE | NLM_F.APPEND, route, deadline);
}

/** Adds a route in place of the one with the same destination, metric and table. */
export async function replaceRoute(socket: RouteSocket, route: Route, deadline: Deadline): Promise<void> {
  await change(socket, "add", RTM.NEWROUTE, NLM_F.CREATE | NLM_F.REPLACE, route, deadline);
}

/** Deletes exactly this route; ESRCH when it is not there. */
export async function deleteRoute(socket: RouteSocket, route: Route, deadline: Deadline): Promise<void> {
  await change(socket, "delete", RTM.DELROUTE, 0, route, deadline);
}

async function change(
  socket: RouteSocket,
  operation: string,
  type: number,
  flags: number,
  route: Route,
  deadline: Deadline,
): Promise<void> {
  const object = async (): Promise<string> => {
    const hops = route.nextHops.map(
      async ({ gateway, index }) =>
        ` nexthop${gateway === undefined ? "" : ` via ${gateway}`}${await deviceText(socket, index, deadline)}`,
    );
    const via = route.gateway === undefined ? "" : ` via ${route.gateway}`;
    const device = await deviceText(socket, route.index, deadline);
    return `route ${route.destination}${via}${device}${(await Promise.all(hops)).join("")}`;
  };
  await socket.request({ type, flags, payload: encodeRoute(route), operation, object }, deadline);
}
