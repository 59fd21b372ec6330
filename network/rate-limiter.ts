import type { Deadline } from "../sys/deadline.ts";
import { TapirError } from "../sys/error.ts";
import type { Ledger } from "../sys/ledger.ts";
import { type LedgerScope, scopeOf } from "../sys/ledger-scope.ts";
import type { LinkReference } from "../sys/netlink/link.ts";
import { findRoot, isShaper, setShaper } from "../sys/netlink/shaper.ts";
import { openRoute, type RouteSocket } from "../sys/netlink/socket.ts";
import { Code } from "../sys/status.ts";
import type { InNetns } from "../sys/undo/entry.ts";
import { explainMissing } from "./missing-module.ts";
import type { Model } from "./model.ts";
import type { NicPlan } from "./nic-plan.ts";
import { keepQueueLength } from "./queue-length.ts";
import { type RateLimiter, type RateLimits, shapeOf } from "./rate-limit.ts";

type Way = keyof RateLimits;

interface Limited {
  readonly link: LinkReference & { readonly txQueueLength?: number };
  readonly scope: LedgerScope;
}

/** Limits the rates of one connected NIC; all of it is in the ledger. One call at a time. */
export function createRateLimiter(
  plan: NicPlan,
  model: Model,
  place: InNetns & { readonly ledger: Ledger },
): RateLimiter {
  const { netns, netnsInode, ledger } = place;
  const limited = new Map<Way, Limited>();
  const limits = { rx: 0, tx: 0 };

  const start = async (way: Way, socket: RouteSocket, deadline: Deadline): Promise<Limited> => {
    const scope = scopeOf(ledger);
    try {
      const context = { netns, netnsInode, socket, ledger: scope.ledger };
      const link = way === "tx" ? plan.link : await model.wayToGuest(plan, context, deadline);
      await refuseForeignRoot(socket, link, deadline);
      return { link, scope };
    } catch (error) {
      await scope.release();
      throw error;
    }
  };
  const limit = async (
    way: Way,
    rate: number,
    mtu: number,
    socket: RouteSocket,
    deadline: Deadline,
  ): Promise<void> => {
    const known = limited.get(way);
    if (rate === 0) {
      await known?.scope.release();
      limited.delete(way);
      return;
    }
    const shape = (link: LinkReference) => setShaper(socket, link, shapeOf(rate, mtu), deadline);
    if (known !== undefined) return shape(known.link);
    const { link, scope } = await start(way, socket, deadline);
    try {
      const entry = { kind: "shaper", netns, netnsInode, link: link.name, index: link.index } as const;
      await scope.ledger.acquire("network.limit", entry, async () => {
        await shape(link);
        await keepQueueLength(socket, link, deadline);
      });
      limited.set(way, { link, scope });
    } catch (error) {
      await scope.release();
      throw explained(link, error);
    }
  };

  return {
    limits,
    async set(wanted, deadline, mtu = plan.mtu) {
      if ((wanted.rx ?? limits.rx) + (wanted.tx ?? limits.tx) + limited.size === 0) return;
      using socket = openRoute({ netns });
      for (const way of ["rx", "tx"] as const) {
        const rate = wanted[way];
        if (rate === undefined) continue;
        await limit(way, rate, mtu, socket, deadline);
        limits[way] = rate;
      }
    },
  };
}

/** A queue that CNI put there is its way of limiting: one of the two has to give way, and it was first. */
async function refuseForeignRoot(
  socket: RouteSocket,
  link: LinkReference,
  deadline: Deadline,
): Promise<void> {
  const root = await findRoot(socket, link, deadline);
  if (root === undefined || isShaper(root)) return;
  const handle = `${(root.handle >>> 16).toString(16)}:`;
  throw new TapirError({
    code: Code.FAILED_PRECONDITION,
    operation: "limit",
    object: `the rate of ${link.name}`,
    cause: `it has a root qdisc that Tapir did not make, ${root.kind} ${handle}`,
    hint: "limit the rate there, or take that qdisc away",
  });
}

function explained(link: LinkReference, error: unknown): unknown {
  return explainMissing(error, {
    operation: "limit",
    object: `the rate of ${link.name}`,
    modules: "sch_tbf",
  });
}
