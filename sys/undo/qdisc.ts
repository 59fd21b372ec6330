import type { Deadline } from "../deadline.ts";
import { errnoOf } from "../error.ts";
import { findLink } from "../netlink/link.ts";
import { deleteIngress, findIngress, listIngressFilters } from "../netlink/traffic.ts";
import type { Undo } from "./entry.ts";
import { openRouteIn } from "./netns-socket.ts";

/** Deletes the ingress qdisc unless filters that are not ours are below it: they would go with it. */
export async function undoQdisc(entry: Extract<Undo, { kind: "qdisc" }>, deadline: Deadline): Promise<void> {
  using socket = openRouteIn(entry);
  if (socket === undefined) return;
  const link = await findLink(socket, { name: entry.link }, deadline);
  if (link === undefined || link.index !== entry.index) return;
  try {
    const qdisc = await findIngress(socket, link, deadline);
    if (qdisc?.kind !== "ingress") return;
    if ((await listIngressFilters(socket, link, deadline)).length > 0) return;
    await deleteIngress(socket, link, deadline);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno !== "ENODEV" && errno !== "ENOENT") throw error;
  }
}
