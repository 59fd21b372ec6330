import type { Deadline } from "../../sys/deadline.ts";
import type { RouteSocket } from "../../sys/netlink/socket.ts";

/** A network namespace for trying things out, and a socket in it: what was made there before may still be. */
export interface Scratch {
  readonly netns: string;
  readonly socket: RouteSocket;
}

/** Something that the kernel must be able to do. */
export interface Requirement {
  readonly name: string;
  /** What pods need it for. */
  readonly purpose: string;
  /** How to get it. */
  readonly wayOut: string;
  /** Pods run without it too. */
  readonly optional?: true;
  /** Really does it; rejects with the kernel's reason. */
  attempt(scratch: Scratch, deadline: Deadline): Promise<void>;
}
