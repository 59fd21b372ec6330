import type { Deadline } from "../deadline.ts";
import { errnoOf } from "../error.ts";
import { deleteLink, findLink } from "../netlink/link.ts";
import type { Undo } from "./entry.ts";
import { openRouteIn } from "./netns-socket.ts";

/** Deletes the link. Gone already, or its name now another link's: nothing to do. */
export async function undoLink(entry: Extract<Undo, { kind: "link" }>, deadline: Deadline): Promise<void> {
  using socket = openRouteIn(entry);
  if (socket === undefined) return;
  const link = await findLink(socket, { name: entry.name }, deadline);
  if (link === undefined || (entry.index !== undefined && entry.index !== link.index)) return;
  try {
    await deleteLink(socket, link, deadline);
  } catch (error) {
    // A tap goes by itself when its last descriptor is closed, perhaps just now.
    if (errnoOf(error) !== "ENODEV") throw error;
  }
}
