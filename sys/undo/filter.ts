import type { Deadline } from "../deadline.ts";
import { errnoOf } from "../error.ts";
import { findLink } from "../netlink/link.ts";
import { deleteIngressFilter, type Filter, findIngress, listIngressFilters } from "../netlink/traffic.ts";
import type { Undo } from "./entry.ts";
import { openRouteIn } from "./netns-socket.ts";

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
    const filters = await listIngressFilters(socket, link, deadline);
    const mine = filters.find((filter) => isBeside(filter, entry) && leadsTo(filter, entry.target));
    if (mine === undefined) return;
    // Alone at its priority, the whole priority goes (handle 0): u32 leaves an empty hash table there otherwise.
    const alone = filters.filter((filter) => isBeside(filter, entry)).length === 1;
    await deleteIngressFilter(socket, link, alone ? { ...mine, handle: 0 } : mine, deadline);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno !== "ENODEV" && errno !== "ENOENT") throw error;
  }
}

function isBeside(filter: Filter, place: Pick<Filter, "priority" | "protocol">): boolean {
  return filter.priority === place.priority && filter.protocol === place.protocol;
}

/** Once the target is deleted the kernel shows 0 in its place. */
function leadsTo({ redirectsTo }: Filter, target: number): boolean {
  return redirectsTo === target || redirectsTo === 0;
}
