import { basename } from "node:path";
import type { Deadline } from "../sys/deadline.ts";
import { wrapError } from "../sys/error.ts";
import type { Ledger } from "../sys/ledger.ts";
import { scopeOf } from "../sys/ledger-scope.ts";
import { openRoute } from "../sys/netlink/socket.ts";
import type { AttachedNic } from "./attached-nic.ts";
import type { DiscoveredNetwork } from "./discover.ts";
import type { Model } from "./model.ts";
import type { NicPlan } from "./nic-plan.ts";
import type { RateLimits } from "./rate-limit.ts";
import { createRateLimiter } from "./rate-limiter.ts";

/**
 * Connects every planned NIC, in order. One that fails leaves nothing, so that it can be tried again; those before it are in
 * the ledger: unwinding brings the namespace back to what was discovered.
 */
export async function connect(
  network: Pick<DiscoveredNetwork, "netns" | "netnsInode">,
  plans: readonly NicPlan[],
  how: {
    readonly model: Model;
    readonly ledger: Ledger;
    readonly vhostNet: boolean;
    /** Of each NIC. */
    readonly limits?: RateLimits;
  },
  deadline: Deadline,
): Promise<AttachedNic[]> {
  const { netns, netnsInode } = network;
  if (plans.length === 0) return [];
  using socket = openRoute({ netns });
  const attached: AttachedNic[] = [];
  for (const plan of plans) {
    const { ledger, release } = scopeOf(how.ledger);
    const context = { netns, netnsInode, socket, ledger, vhostNet: how.vhostNet };
    try {
      const nic = await how.model.connect(plan, context, deadline);
      const limiter = createRateLimiter(plan, how.model, { netns, netnsInode, ledger });
      if (how.limits !== undefined) await limiter.set(how.limits, deadline);
      attached.push({ ...nic, limiter, release });
    } catch (error) {
      await release().catch(() => undefined);
      throw wrapError(error, { operation: "attach", object: `${plan.name} of netns ${basename(netns)}` });
    }
  }
  return attached;
}
