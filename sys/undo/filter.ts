import type { Deadline } from "../deadline.ts";
import { errnoOf } from "../error.ts";
import { findLink } from "../netlink/link.ts";
import { deleteIngressFilter, type Filter, findIngress, listIngressFilters } from "../netlink/traffic.ts";
import { openRouteIn } from "./netns-socket.ts";
import type { Undo } from "./undo.ts";

/** Deletes the redirect, known by priority, protocol and target; whatever else is there stays. */
export async function undoFilter(
  entry: Extract<Undo, { kind: "filter" }>,
  deadline: Deadline,
): Promise<void> {
  using socket = openRouteIn(entry);
  if (socket === undefined) return;
  const link = await findLink(socket, { name: entry.link }, deadline);
  if (link === undefined || link.index !== entry.index) return;
  try {
    if ((await findIngress(socket, link, deadline)) === undefined) return;
    const mine = (await listIngressFilters(socket, link, deadline)).find((filter) => isOurs(filter, entry));
    if (mine !== undefined) await deleteIngressFilter(socket, link, mine, deadline);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno !== "ENODEV" && errno !== "ENOENT") throw error;
  }
}

function isOurs(filter: Filter, entry: Extract<Undo, { kind: "filter" }>): boolean {
  // Once the target is deleted the kernel shows 0 in its place.
  const leadsThere = filter.redirectsTo === entry.target || filter.redirectsTo === 0;
  return filter.priority === entry.priority && filter.protocol === entry.protocol && leadsThere;
}
