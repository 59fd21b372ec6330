import type { NicPlan } from "./nic-plan.ts";
import type { RateLimiter } from "./rate-limit.ts";

/** What a model makes of a planned NIC. */
export type ConnectedNic = Omit<AttachedNic, "limiter" | "release">;

/** A planned NIC whose host side stands: what the hypervisor gets. */
export interface AttachedNic {
  readonly plan: NicPlan;
  readonly tapName: string;
  /** One per queue. */
  readonly tapFds: readonly number[];
  /** As many as tapFds, or none. */
  readonly vhostFds: readonly number[];
  /**
   * Closes this process's copies. To be called once QEMU has its own, so that the tap goes with QEMU; the ledger calls
   * it at the latest. Only the first call closes: the numbers may be other files' afterwards.
   */
  closeDescriptors(): void;
  readonly limiter: RateLimiter;
  /** Undoes the host side: tap, filters, qdiscs. The hypervisor must have let go before. */
  release(): Promise<void>;
}
