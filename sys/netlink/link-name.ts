import type { Deadline } from "../deadline.ts";
import { findLink } from "./link.ts";
import type { RouteSocket } from "./socket.ts";

/** " dev eth0" for an error's object; " dev #7" when the link is gone, "" for no link. Never throws. */
export async function deviceText(socket: RouteSocket, index: number, deadline: Deadline): Promise<string> {
  if (index === 0) return "";
  const link = await findLink(socket, { index }, deadline).catch(() => undefined);
  return ` dev ${link?.name ?? `#${index}`}`;
}
