import type { RouteSocket } from "../../sys/netlink/socket.ts";

/** What is there before: blank is a network that nobody has set anything in, or in which all of it was taken away. */
export type Ground = "blank" | "unknown";

/** The network that is worked on: the guest's own, or a test's namespace. */
export interface Network {
  readonly socket: RouteSocket;
  /** Path of the namespace when it is not this process's own. */
  readonly netns?: string;
}
