import type { Deadline } from "../sys/deadline.ts";
import { type LinkReference, setLink } from "../sys/netlink/link.ts";
import type { RouteSocket } from "../sys/netlink/socket.ts";

/**
 * After a qdisc of ours: a link that was without a queue (`txqueuelen 0`: CNI's veths) has got one of 1000 from the kernel with it
 * (qdisc_create, net/sched/sch_api.c). It is taken back, or every guest would be told of a change.
 */
export async function keepQueueLength(
  socket: RouteSocket,
  link: LinkReference & { readonly txQueueLength?: number },
  deadline: Deadline,
): Promise<void> {
  if (link.txQueueLength === 0) await setLink(socket, link, { txQueueLength: 0 }, deadline);
}
