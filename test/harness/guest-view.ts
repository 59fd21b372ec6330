import { askGuest, type GuestView } from "../../cli/management-client.ts";
import { networkDifference } from "../../network/difference.ts";
import { discover } from "../../network/discover.ts";
import type { GuestNetwork } from "../../network/guest-network.ts";
import { planGuest } from "../../network/guest-plan.ts";
import { modelNamed } from "../../network/model.ts";
import { planNics } from "../../network/nic-plan.ts";
import { sandboxDirectory } from "../../shim/state/directory.ts";
import type { Deadline } from "../../sys/deadline.ts";
import type { PodStatus } from "./crictl.ts";

/** A pod seen from both sides. */
export interface PodViews {
  /** What the links of the pod's netns say, the way a guest should have it. */
  readonly netns: GuestNetwork;
  /** What the guest says, asked over gRPC. */
  readonly guest: GuestView;
  /** Empty when they are equal, field by field. */
  readonly difference: readonly string[];
}

/** Looks at a pod from the netns that CNI made and from the guest that should be equal to it. */
export async function viewPod(
  stateDirectory: string,
  pod: Pick<PodStatus, "id" | "netnsPath">,
  deadline: Deadline,
): Promise<PodViews> {
  const found = await discover(pod.netnsPath, deadline);
  // The taps are Tapir's, not the pod's.
  const links = found.links.filter(({ link }) => !/^tap\d+_tapir$/.test(link.name));
  const network = { ...found, links };
  const netns = planGuest(network, planNics(network, { model: modelNamed("tcfilter"), vcpus: 1 }));
  const guest = await askGuest(sandboxDirectory(stateDirectory, "k8s.io", pod.id));
  const actual: GuestNetwork = {
    interfaces: [...guest.interfaces],
    routes: [...guest.routes],
    neighbors: [...guest.neighbors],
  };
  return { netns, guest, difference: networkDifference(netns, actual) };
}
