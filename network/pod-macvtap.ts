import { closeSync } from "node:fs";
import type { Deadline } from "../sys/deadline.ts";
import { errnoOf, TapirError } from "../sys/error.ts";
import { openMacvtap } from "../sys/macvtap.ts";
import { createLink } from "../sys/netlink/create-link.ts";
import { type LinkReference, setLink } from "../sys/netlink/link.ts";
import { IFF } from "../sys/netlink/records.ts";
import { Code } from "../sys/status.ts";
import { openVhostNet } from "../sys/tap.ts";
import type { ConnectContext } from "./model.ts";
import type { NicPlan } from "./nic-plan.ts";
import { nameTaken, type PodTap, podTap, refuseOwnAddress } from "./pod-tap.ts";
import { TAP_ALIAS } from "./pod-tap-mark.ts";

/** Makes the macvtap of a NIC on the pod's link, with the link's MAC and MTU, and takes it up. */
export async function openPodMacvtap(
  plan: NicPlan,
  context: ConnectContext,
  deadline: Deadline,
): Promise<PodTap> {
  const { netns, netnsInode, socket, ledger } = context;
  const name = plan.tapName;
  const entry = { kind: "link", netns, netnsInode, name } as const;
  const acquired = await ledger.acquire("network.macvtap", entry, async ({ amend, onRelease }) => {
    const what = { kind: "macvtap", mode: "passthru" } as const;
    try {
      await createLink(socket, { name, on: plan.link.index, what }, deadline);
    } catch (error) {
      // Nothing came to be; whatever has that name is somebody else's.
      amend({ ...entry, index: 0 });
      throw explained(name, plan, error);
    }
    const made = await podTap(plan, socket, deadline);
    amend({ ...entry, index: made.index });
    await configure(made, context, deadline);
    const tapFds = openMacvtap({ netns, name, index: made.index, queues: plan.queues });
    const open = new Set(tapFds);
    const closeDescriptors = (): void => {
      for (const fd of open) closeSync(fd);
      open.clear();
    };
    onRelease(async () => closeDescriptors());
    const vhostFds = context.vhostNet ? openVhostNet(plan.queues) : [];
    for (const fd of vhostFds) open.add(fd);
    return { link: made, tapFds, vhostFds, closeDescriptors };
  });
  return acquired.value;
}

/** It has its MTU and MAC of the link below. What groups the guest is in, nobody tells it: all pass. */
async function configure(link: LinkReference, { socket }: ConnectContext, deadline: Deadline): Promise<void> {
  await refuseOwnAddress(socket, link, deadline);
  // Set while it is up, it would be set on the link below too, where the kernel forgets it when the macvtap goes.
  const flags = { value: IFF.ALLMULTI, mask: IFF.ALLMULTI };
  await setLink(socket, link, { alias: TAP_ALIAS, flags }, deadline);
  await setLink(socket, link, { up: true }, deadline);
}

function explained(name: string, { link }: NicPlan, error: unknown): unknown {
  const object = `macvtap ${name} on ${link.name}`;
  const why = (cause: unknown, hint: string): TapirError =>
    new TapirError({ code: Code.FAILED_PRECONDITION, operation: "make", object, cause, hint });
  switch (errnoOf(error)) {
    case "EEXIST":
      return nameTaken(`macvtap ${name}`, error);
    case "EOPNOTSUPP":
      return why(error, 'load the kernel module: modprobe macvtap; or use internetworking_model "tcfilter"');
    case "EBUSY":
    case "EINVAL":
      // A bridge's port, or somebody's macvlan lies on it: the kernel hands the frames of a link to one only.
      return why(
        error,
        `something else takes the frames of ${link.name}; use internetworking_model "tcfilter"`,
      );
    default:
      return error;
  }
}
