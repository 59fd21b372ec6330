import type { Deadline } from "../deadline.ts";
import { errnoOf } from "../error.ts";
import { findLink } from "../netlink/link.ts";
import { deleteShaper, findRoot, isShaper } from "../netlink/shaper.ts";
import type { Undo } from "./entry.ts";
import { openRouteIn } from "./netns-socket.ts";

/** Takes the rate limit away; a root qdisc that somebody else put there stays. */
export async function undoShaper(
  entry: Extract<Undo, { kind: "shaper" }>,
  deadline: Deadline,
): Promise<void> {
  using socket = openRouteIn(entry);
  if (socket === undefined) return;
  const link = await findLink(socket, { index: entry.index }, deadline);
  if (link === undefined) return;
  try {
    const root = await findRoot(socket, link, deadline);
    if (root === undefined || !isShaper(root)) return;
    await deleteShaper(socket, link, deadline);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno !== "ENODEV" && errno !== "ENOENT") throw error;
  }
}
