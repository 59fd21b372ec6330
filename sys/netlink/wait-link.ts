import type { Deadline } from "../deadline.ts";
import { openEvents, RTNLGRP } from "./events.ts";
import { listLinks } from "./link.ts";
import type { SocketPlace } from "./raw-socket.ts";
import type { Link } from "./records.ts";
import { openRoute } from "./socket.ts";

/**
 * The first link that `matches`, now or as soon as the kernel announces it. Rejects with the deadline's error.
 * Subscribes before it lists: a link that comes in between is seen twice, never missed.
 */
export async function waitForLink(
  matches: (link: Link) => boolean,
  deadline: Deadline,
  place: SocketPlace = {},
): Promise<Link> {
  using events = openEvents([RTNLGRP.LINK], place);
  using socket = openRoute(place);
  for (let listed = false; ; ) {
    if (!listed) {
      const present = (await listLinks(socket, deadline)).find(matches);
      if (present !== undefined) return present;
      listed = true;
    }
    const event = await events.next(deadline);
    if (event.kind === "overrun") listed = false;
    if (event.kind === "link" && !event.gone && matches(event.link)) return event.link;
  }
}
