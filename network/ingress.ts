import { setTimeout as sleep } from "node:timers/promises";
import type { Deadline } from "../sys/deadline.ts";
import { errnoOf } from "../sys/error.ts";
import type { LinkReference } from "../sys/netlink/link.ts";
import { addIngress, findIngress } from "../sys/netlink/traffic.ts";
import { explainMissing } from "./missing-module.ts";
import type { PodPlace } from "./model.ts";
import { keepQueueLength } from "./queue-length.ts";

/** The kernel answers EBUSY while an earlier ingress qdisc of the link is still being taken down; no event tells. */
const BUSY_RETRIES = 10;
const BUSY_PAUSE_MS = 10;

/**
 * Gives a link an ingress qdisc. One that CNI put there, ingress or clsact, is used as it is — the two exclude each
 * other — and is not Tapir's to remove.
 */
export async function ensureIngress(
  link: LinkReference & { readonly txQueueLength?: number },
  context: PodPlace,
  deadline: Deadline,
): Promise<void> {
  const { netns, netnsInode, socket, ledger } = context;
  if ((await findIngress(socket, link, deadline)) !== undefined) return;
  const entry = { kind: "qdisc", netns, netnsInode, link: link.name, index: link.index } as const;
  await ledger.acquire("network.qdisc", entry, async ({ amend }) => {
    for (let retries = BUSY_RETRIES; ; retries--) {
      try {
        await addIngress(socket, link, deadline);
        break;
      } catch (error) {
        const errno = errnoOf(error);
        // Somebody was faster: theirs is used, and not undone.
        if (errno === "EEXIST") return amend({ ...entry, index: 0 });
        if (errno !== "EBUSY" || retries === 0) throw explained(link, error);
      }
      await sleep(BUSY_PAUSE_MS, undefined, { signal: deadline.signal });
    }
    await keepQueueLength(socket, link, deadline);
  });
}

function explained({ name }: LinkReference, error: unknown): unknown {
  const object = `ingress qdisc dev ${name}`;
  return explainMissing(error, { operation: "add", object, modules: "sch_ingress" });
}
