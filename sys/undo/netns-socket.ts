import { codeOf } from "../error.ts";
import { openRoute, type RouteSocket } from "../netlink/socket.ts";
import { netnsInode } from "../netns.ts";
import { Code } from "../status.ts";
import type { InNetns } from "./entry.ts";

/** A socket in the entry's namespace; undefined when that namespace is gone, and with it all there was to undo. */
export function openRouteIn(entry: InNetns): RouteSocket | undefined {
  try {
    if (netnsInode(entry.netns) !== entry.netnsInode) return undefined;
    return openRoute({ netns: entry.netns });
  } catch (error) {
    // The path is gone, or the namespace behind it is and left an ordinary file.
    const code = codeOf(error);
    if (code === Code.NOT_FOUND || code === Code.INVALID_ARGUMENT) return undefined;
    throw error;
  }
}
