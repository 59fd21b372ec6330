import type { RouteSocket } from "../../sys/netlink/socket.ts";

/** The network that is worked on: the guest's own, or a test's namespace. */
export interface Network {
  readonly socket: RouteSocket;
  /** Path of the namespace when it is not this process's own. */
  readonly netns?: string;
}
