import { closeSync } from "node:fs";
import type { Deadline } from "../sys/deadline.ts";
import { errnoOf, TapirError } from "../sys/error.ts";
import { findLink, type LinkReference, setLink } from "../sys/netlink/link.ts";
import type { RouteSocket } from "../sys/netlink/socket.ts";
import { Code } from "../sys/status.ts";
import { openTap, openVhostNet } from "../sys/tap.ts";
import type { AttachedNic } from "./attached-nic.ts";
import type { ConnectContext } from "./model.ts";
import type { NicPlan } from "./nic-plan.ts";
import { TAP_ALIAS } from "./pod-tap-mark.ts";

export interface PodTap extends Pick<AttachedNic, "tapFds" | "vhostFds" | "closeDescriptors"> {
  readonly link: LinkReference;
}

/** Makes the tap of a NIC in the pod's namespace, MTU of the pod's link, and takes it up. */
export async function openPodTap(
  plan: NicPlan,
  context: ConnectContext,
  deadline: Deadline,
): Promise<PodTap> {
  const { netns, netnsInode, socket, ledger } = context;
  const name = plan.tapName;
  const entry = { kind: "link", netns, netnsInode, name } as const;
  const acquired = await ledger.acquire("network.tap", entry, async ({ amend, onRelease }) => {
    let tapFds: number[];
    try {
      tapFds = openTap({ netns, name, queues: plan.queues });
    } catch (error) {
      // Whatever has that name is somebody else's: undoing must not touch it.
      amend({ ...entry, index: 0 });
      throw errnoOf(error) === "EBUSY" ? nameTaken(`tap ${name}`, error) : error;
    }
    const open = new Set(tapFds);
    const closeDescriptors = (): void => {
      for (const fd of open) closeSync(fd);
      open.clear();
    };
    onRelease(async () => closeDescriptors());
    const vhostFds = context.vhostNet ? openVhostNet(plan.queues) : [];
    for (const fd of vhostFds) open.add(fd);
    const link = await configure(socket, name, plan.mtu, deadline);
    amend({ ...entry, index: link.index });
    return { link, tapFds, vhostFds, closeDescriptors };
  });
  return acquired.value;
}

/** The tap of a NIC that is connected. */
export async function podTap(
  { tapName }: Pick<NicPlan, "tapName">,
  socket: RouteSocket,
  deadline: Deadline,
): Promise<LinkReference> {
  const link = await findLink(socket, { name: tapName }, deadline);
  if (link !== undefined) return link;
  throw new TapirError({
    code: Code.ABORTED,
    operation: "use",
    object: `tap ${tapName}`,
    cause: "it is gone",
  });
}

async function configure(
  socket: RouteSocket,
  tapName: string,
  mtu: number,
  deadline: Deadline,
): Promise<LinkReference> {
  const link = await podTap({ tapName }, socket, deadline);
  await refuseOwnAddress(socket, link, deadline);
  await setLink(socket, link, { mtu, alias: TAP_ALIAS, up: true }, deadline);
  return link;
}

/** The tap is a wire: with a link-local address of its own the namespace would speak to the guest on it. */
export async function refuseOwnAddress(
  socket: RouteSocket,
  link: LinkReference,
  deadline: Deadline,
): Promise<void> {
  try {
    await setLink(socket, link, { addressGeneration: "none" }, deadline);
  } catch (error) {
    // A kernel without IPv6 has nothing to turn off.
    if (errnoOf(error) !== "EAFNOSUPPORT" && errnoOf(error) !== "EOPNOTSUPP") throw error;
  }
}

/** Whoever made the link of that name is connected already. */
export function nameTaken(object: string, error: unknown): TapirError {
  return new TapirError({
    code: Code.FAILED_PRECONDITION,
    operation: "make",
    object,
    cause: error,
    hint: "another sandbox is connected to this network namespace: remove it first",
  });
}
