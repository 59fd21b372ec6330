import type { Deadline } from "../sys/deadline.ts";
import { TapirError } from "../sys/error.ts";
import type { LinkReference } from "../sys/netlink/link.ts";
import { addRedirect, ETH_P_ALL, type Filter, listIngressFilters } from "../sys/netlink/traffic.ts";
import { Code } from "../sys/status.ts";
import { explainMissing } from "./missing-module.ts";
import type { PodPlace } from "./model.ts";

/** Behind what the kernel chooses by itself (49152 and downwards): filters added later still come first. */
const PRIORITY = 61_440;
const MAXIMUM_PRIORITY = 0xffff;

/** Redirects what comes in on `from` out of `to`, behind the filters that are there. */
export async function redirect(
  from: LinkReference,
  to: LinkReference,
  context: PodPlace,
  deadline: Deadline,
): Promise<void> {
  const { netns, netnsInode, socket, ledger } = context;
  const priority = freePriority(from, await listIngressFilters(socket, from, deadline));
  const place = { netns, netnsInode, link: from.name, index: from.index };
  const entry = { kind: "filter", ...place, priority, protocol: ETH_P_ALL, target: to.index } as const;
  await ledger.acquire("network.filter", entry, () =>
    addRedirect(socket, from, to, priority, deadline).catch((error: unknown) => {
      const object = `redirect from ${from.name} to ${to.name}`;
      throw explainMissing(error, { operation: "add", object, modules: "cls_u32 act_mirred" });
    }),
  );
}

/**
 * The redirect takes every frame, so it must be asked last: a CNI's own filters keep their effect. A priority
 * that nobody else has makes it removable without touching theirs.
 */
export function freePriority(link: LinkReference, existing: readonly Filter[]): number {
  const last = Math.max(0, ...existing.map((filter) => filter.priority));
  const priority = Math.max(PRIORITY, last + 1);
  if (priority <= MAXIMUM_PRIORITY) return priority;
  throw new TapirError({
    code: Code.FAILED_PRECONDITION,
    operation: "add",
    object: `redirect on ${link.name}`,
    cause: `a filter with the last priority, ${MAXIMUM_PRIORITY}, is already there`,
  });
}
