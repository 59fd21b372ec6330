import type { Deadline } from "../sys/deadline.ts";
import { errnoOf, TapirError } from "../sys/error.ts";
import { createLink } from "../sys/netlink/create-link.ts";
import { findLink, type LinkReference, setLink } from "../sys/netlink/link.ts";
import { Code } from "../sys/status.ts";
import { ensureIngress } from "./ingress.ts";
import type { PodPlace } from "./model.ts";
import type { NicPlan } from "./nic-plan.ts";
import { refuseOwnAddress } from "./pod-tap.ts";
import { TAP_ALIAS } from "./pod-tap-mark.ts";
import { redirect } from "./redirect.ts";

/**
 * Leads what comes in on the pod's link through an intermediate functional block (ifb), of which it goes out as if it was
 * sent, and comes in on the link again: between the two it can wait in a queue.
 */
export async function openDetour(plan: NicPlan, place: PodPlace, deadline: Deadline): Promise<LinkReference> {
  const detour = await makeBlock(plan, place, deadline);
  await ensureIngress(plan.link, place, deadline);
  await redirect(plan.link, detour, place, deadline);
  return detour;
}

/** One for each NIC: a link has one root queue. */
export const detourName = ({ tapName }: Pick<NicPlan, "tapName">): string => tapName.replace(/^tap/, "ifb");

async function makeBlock(plan: NicPlan, place: PodPlace, deadline: Deadline): Promise<LinkReference> {
  const { netns, netnsInode, socket, ledger } = place;
  const name = detourName(plan);
  const entry = { kind: "link", netns, netnsInode, name } as const;
  const { value } = await ledger.acquire("network.detour", entry, async ({ amend }) => {
    try {
      await createLink(socket, { name, what: { kind: "ifb" } }, deadline);
    } catch (error) {
      amend({ ...entry, index: 0 });
      throw explained(name, error);
    }
    const link = await findLink(socket, { name }, deadline);
    if (link === undefined) throw refusal(name, "it is gone right after it was made");
    amend({ ...entry, index: link.index });
    await refuseOwnAddress(socket, link, deadline);
    await setLink(socket, link, { mtu: plan.mtu, alias: TAP_ALIAS, up: true }, deadline);
    return link;
  });
  return value;
}

function explained(name: string, error: unknown): unknown {
  if (errnoOf(error) !== "EOPNOTSUPP") return error;
  const hint =
    'load the kernel module: modprobe ifb; or use internetworking_model "tcfilter", which needs none';
  return refusal(name, error, hint);
}

function refusal(name: string, cause: unknown, hint?: string): TapirError {
  const code = Code.FAILED_PRECONDITION;
  const more = hint === undefined ? {} : { hint };
  return new TapirError({ code, operation: "make", object: `ifb ${name}`, cause, ...more });
}
