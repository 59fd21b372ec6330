import type { Deadline } from "../sys/deadline.ts";
import type { Ledger } from "../sys/ledger.ts";
import type { LinkReference } from "../sys/netlink/link.ts";
import type { RouteSocket } from "../sys/netlink/socket.ts";
import type { ConnectedNic } from "./attached-nic.ts";
import type { ModelScope } from "./endpoint.ts";
import type { NicPlan } from "./nic-plan.ts";

/** Where a model works. */
export interface PodPlace {
  readonly netns: string;
  readonly netnsInode: number;
  /** Belongs to the namespace. */
  readonly socket: RouteSocket;
  readonly ledger: Ledger;
}

export interface ConnectContext extends PodPlace {
  /** Take vhost-net where the host has it. */
  readonly vhostNet: boolean;
}

/** A way to carry frames between a pod's link and its NIC in the guest. */
export interface Model extends ModelScope {
  /** Frames go between link and tap by tc filters. */
  readonly redirects: boolean;
  /** Has effects in the namespace, each in the ledger. */
  connect(plan: NicPlan, context: ConnectContext, deadline: Deadline): Promise<ConnectedNic>;
  /**
   * The link of which every frame to the guest goes out, and nothing else: what slows that down slows the guest's receiving
   * down. Made, in the ledger, where the model does without one otherwise. What the guest sends goes out of the pod's link.
   */
  wayToGuest(plan: NicPlan, place: PodPlace, deadline: Deadline): Promise<LinkReference>;
}
